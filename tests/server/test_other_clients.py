"""Clients nobody here wrote work with the embedded server as they are."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import attrs
import pytest
from astrometry_net_client.uploads import URLUpload
from astropy.io import fits
from astropy.table import Table
from astroquery.astrometry_net import AstrometryNet as Astroquery, conf
from astroquery.exceptions import TimeoutError as AstroqueryTimeoutError
from PIL import Image

from astrometry_client.server.run import LocalServer
from astrometry_client.testing import UNSOLVED, NovaServer, Place, TableEngine

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"
SCALE = {"scale_units": "degwidth", "scale_lower": 20.0, "scale_upper": 60.0}
CENTRE = pytest.approx((83.8, -1.2), abs=2.0)

PLACE = Place(83.8, -1.2, objects=("Betelgeuse",))
TABLE = TableEngine({"dark*": UNSOLVED}, otherwise=lambda _: PLACE)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients look again at once: they wait seconds between two looks."""
    really = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: really(min(seconds, 0.05)))


# --- astroquery; to send the image itself, it wants an option that it warns of

uploading_the_image = pytest.mark.filterwarnings("ignore:.*force_image_upload")


@pytest.fixture
def astroquery_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    monkeypatch.setattr(conf, "api_key", "")  # the client writes it there

    def made(url: str, api_key: str) -> Any:
        client = Astroquery()
        client.URL, client.API_URL, client.api_key = url, f"{url}/api", api_key
        return client

    return made


@uploading_the_image
def test_astroquery_solves_an_image(nova: LocalServer, astroquery_at: Callable[[str, str], Any]) -> None:
    client = astroquery_at(nova.url, nova.api_key)
    header = client.solve_from_image(
        str(ORION), force_image_upload=True, solve_timeout=60, verbose=False, **SCALE
    )
    assert (header["CRVAL1"], header["CRVAL2"]) == pytest.approx((83.8, -1.2), abs=20.0)
    assert header["CTYPE1"].startswith("RA---TAN")


@uploading_the_image
@pytest.mark.nova_server(engine=TABLE, queue_delay_s=0.2)
def test_astroquery_gets_its_answers(
    nova_server: NovaServer, astroquery_at: Callable[[str, str], Any], tmp_path: Path
) -> None:
    client = astroquery_at(nova_server.url, nova_server.api_key)
    header, submission_id = client.solve_from_source_list(
        [1, 2], [3, 4], 50, 60, solve_timeout=10, verbose=False, return_submission_id=True, **SCALE
    )
    assert (header["CRVAL1"], header["CRVAL2"]) == (83.8, -1.2)
    assert client.monitor_submission(submission_id, solve_timeout=10, verbose=False) == header
    dark = tmp_path / "dark.jpg"
    dark.write_bytes(ORION.read_bytes())
    assert client.solve_from_image(str(dark), force_image_upload=True, verbose=False, solve_timeout=10) == {}


@pytest.mark.nova_server(engine=TABLE, solve_time_s=1000.0)
def test_astroquery_loses_patience(nova_server: NovaServer, astroquery_at: Callable[[str, str], Any]) -> None:
    client = astroquery_at(nova_server.url, nova_server.api_key)
    with pytest.raises(AstroqueryTimeoutError):
        client.solve_from_source_list([1], [1], 5, 5, solve_timeout=0.1, verbose=False)


# --- astrometry_net_client


@pytest.fixture
def net_client_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    import astrometry_net_client
    from astrometry_net_client import session, statusables, uploads

    kinds = (session.Session, statusables.Submission, statusables.Job, uploads.FileUpload, uploads.URLUpload)

    def made(url: str, api_key: str) -> Any:
        for kind in kinds:
            for name, value in vars(kind).items():
                if isinstance(value, str) and value.startswith("http://nova.astrometry.net"):
                    monkeypatch.setattr(kind, name, value.replace("http://nova.astrometry.net", url))
        return astrometry_net_client.Client(api_key=api_key)

    return made


def test_net_client_solves_an_image(nova: LocalServer, net_client_at: Callable[[str, str], Any]) -> None:
    client = net_client_at(nova.url, nova.api_key)
    job = client.upload_file(str(ORION), settings=SCALE)
    assert job.success()
    assert job.info()["original_filename"] == "orion.jpg"
    assert (job.calibration["ra"], job.calibration["dec"]) == CENTRE
    assert job.wcs_file()["CTYPE1"].startswith("RA---TAN")


@pytest.mark.nova_server(engine=TABLE)
def test_net_client_gets_its_answers(
    nova_server: NovaServer, net_client_at: Callable[[str, str], Any], tmp_path: Path
) -> None:
    client = net_client_at(nova_server.url, nova_server.api_key)
    paths = [tmp_path / name for name in ("a.jpg", "dark.jpg", "c.jpg")]
    for path in paths:
        path.write_bytes(ORION.read_bytes())
    jobs = {
        Path(name).name: job for job, name in client.upload_files_gen(iter(map(str, paths)), queue_size=3)
    }
    assert {name: job.success() for name, job in jobs.items()} == {
        "a.jpg": True,
        "dark.jpg": False,
        "c.jpg": True,
    }
    job = jobs["a.jpg"]
    assert len(Table(job.axy_file()[1].data)) == len(Table(job.rdls_file()[1].data)) == 12
    submission = URLUpload("https://example.org/m.jpg", session=client.session).submit()
    submission.until_done()
    assert submission.success()


# --- the official client.py; tests/official runs the file itself

PRIVACY = {"allow_commercial_use": "d", "allow_modifications": "d", "publicly_visible": "y"}


@attrs.define
class OfficialStyle:
    """Sends what the official `client.py` sends, byte for byte where it matters.

    All is posted as a form, whatever is asked; lines of a multipart form end now with CR LF, now with LF;
    files are fetched without a Referer. (Source: net/client/client.py of Astrometry.net, read 2026-11.)
    """

    server: str
    session: str | None = None

    def call(self, service: str, document: dict[str, Any] | None = None, *, file: Path | None = None) -> Any:
        text = json.dumps({**(document or {}), **({"session": self.session} if self.session else {})})
        if file is None:
            request = Request(self.server + service, data=urlencode({"request-json": text}).encode())
        else:
            line = "===============1234567890123456789=="
            kind = {"Content-Type": f'multipart/form-data; boundary="{line}"'}
            request = Request(self.server + service, headers=kind, data=self._form(line, text, file))
        with urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        assert answer.get("status") != "error", answer
        return answer

    @staticmethod
    def _form(line: str, text: str, file: Path) -> bytes:
        def part(kind: str, disposition: str) -> bytes:
            heads = (
                f"Content-Type: {kind}",
                "MIME-Version: 1.0",
                f"Content-disposition: form-data; {disposition}",
            )
            return f"--{line}\n".encode() + "".join(f"{head}\r\n" for head in heads).encode() + b"\r\n"

        return (
            part("text/plain", 'name="request-json"')
            + f"{text}\n".encode()
            + part("application/octet-stream", f'name="file"; filename="{file}"')
            + file.read_bytes()
            + f"\n--{line}--\n".encode()
        )

    def login(self, api_key: str) -> None:
        self.session = self.call("login", {"apikey": api_key})["session"]

    def wait(self, submission_id: int) -> tuple[int, str]:
        while not (jobs := [job for job in self.call(f"submissions/{submission_id}")["jobs"] if job]):
            time.sleep(5)
        while (status := self.call(f"jobs/{jobs[0]}")["status"]) not in ("success", "failure"):
            time.sleep(5)
        return jobs[0], status

    def fetch(self, path: str) -> bytes:
        with urlopen(self.server.replace("/api/", f"/{path}"), timeout=60) as reply:
            return bytes(reply.read())


def test_official_client_solves_an_image(nova: LocalServer) -> None:
    client = OfficialStyle(f"{nova.url}/api/")
    client.login(nova.api_key)
    sent = client.call("upload", {**PRIVACY, **SCALE, "scale_type": "ul"}, file=ORION)
    job_id, status = client.wait(sent["subid"])
    assert status == "success"
    calibration = client.call(f"jobs/{job_id}/calibration")
    assert (calibration["ra"], calibration["dec"]) == CENTRE
    assert fits.Header.fromstring(client.fetch(f"wcs_file/{job_id}"))["CTYPE1"].startswith("RA---TAN")
    new_fits = io.BytesIO(client.fetch(f"new_fits_file/{job_id}/"))
    with fits.open(new_fits) as hdus, Image.open(ORION) as picture:
        assert hdus[0].data.shape[-2:] == (picture.height, picture.width)
    assert len(Table.read(io.BytesIO(client.fetch(f"corr_file/{job_id}")))) > 10
    named = [
        name for found in client.call(f"jobs/{job_id}/annotations")["annotations"] for name in found["names"]
    ]
    assert "Betelgeuse" in named
    for exact in ("exact=yes", ""):
        assert job_id in client.call(f"jobs_by_tag?query={quote('Betelgeuse')}&{exact}")["job_ids"]
    assert job_id in client.call("myjobs/")["jobs"]


@pytest.mark.nova_server(engine=TABLE)
def test_official_client_gets_its_answers(nova_server: NovaServer) -> None:
    client = OfficialStyle(f"{nova_server.url}/api/")
    client.login(nova_server.api_key)
    submission_id = client.call("url_upload", {"url": "https://example.org/m31.jpg", **PRIVACY})["subid"]
    job_id, status = client.wait(submission_id)
    assert status == "success"
    for what in ("calibration", "tags", "machine_tags", "objects_in_field", "annotations", "info"):
        assert client.call(f"jobs/{job_id}/{what}")
    assert client.call("submission_images", {"subid": submission_id})["image_ids"] == [1]
