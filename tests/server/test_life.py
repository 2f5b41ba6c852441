"""The life of an upload, from the first byte to the result."""

import contextlib
import http.client
import io
import json
import socket
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from live_server import Api, until
from sky import View, render
from toy_engines import CALIBRATION, SOLVED, UNSOLVED

from astrometry_client.server.run import LocalServer


def source_list(count: int) -> bytes:
    return "".join(f"{number} {number}\n" for number in range(1, count + 1)).encode()


def test_solved_image_tells_everything(api: Api) -> None:
    submission_id = api.upload(source_list(SOLVED), name="C:\\sky\\m31.txt")
    job_id = api.solve(submission_id)
    document = api.submission(submission_id)
    assert document["job_calibrations"][0][0] == job_id
    info = api.get(f"api/jobs/{job_id}/info").json()
    assert info["original_filename"] == "m31.txt"
    assert set(info["calibration"]) == {"ra", "dec", "radius", "pixscale", "orientation", "parity"}
    assert api.get(f"api/jobs/{job_id}/calibration").json() == CALIBRATION
    assert api.get(f"api/jobs/{job_id}/annotations").json() == {"annotations": []}
    wcs = api.get(f"wcs_file/{job_id}")
    assert (wcs.content[:9], len(wcs.content) % 2880) == (b"SIMPLE  =", 0)
    assert job_id in api.call("myjobs", {"session": api.session_key}).json()["jobs"]


def test_image_without_a_match_fails(api: Api) -> None:
    submission_id = api.upload_sources(UNSOLVED)
    assert api.ended(submission_id) == ["failure"]
    assert api.submission(submission_id)["job_calibrations"] == []


def test_options_reach_the_engine(api: Api) -> None:
    given = {
        "scale_units": "degwidth",
        "scale_lower": 1,
        "scale_upper": 2,
        "image_width": 1000,
        "image_height": 9,
    }
    job_id = api.solve(api.upload_sources(SOLVED, **given))
    assert api.get(f"api/jobs/{job_id}/calibration").json()["pixscale"] == pytest.approx(3.6)


def test_options_that_contradict_each_other_fail_the_job(api: Api) -> None:
    assert api.ended(api.upload_sources(SOLVED, scale_type="ev")) == ["failure"]


@pytest.mark.parametrize(
    "content",
    [b"garbage" * 100, b"", b"PK\x03\x04" + b"0" * 100, b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"0" * 100],
)
def test_file_that_is_no_image_ends_with_a_message(api: Api, content: bytes) -> None:
    document = api.read(api.upload(content))
    assert (document["jobs"], document["user_images"]) == ([], [])
    assert 0 < len(document["error_message"]) <= 252


@pytest.mark.parametrize("listed", [{"x": [1.0, float("nan")], "y": [2.0, 3.0]}, {"x": [], "y": []}, {}])
def test_nothing_to_solve_ends_with_a_message(api: Api, listed: dict[str, list[float]]) -> None:
    submission_id = api.call("upload", {"session": api.session_key, **listed}).json()["subid"]
    assert "error_message" in api.read(submission_id)


def test_archive_gives_a_job_for_every_image(api: Api) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in {
            "a": source_list(SOLVED),
            "no image": b"\0",
            "d/b": source_list(UNSOLVED),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    submission_id = api.upload(packed.getvalue())
    assert api.ended(submission_id) == ["success", "failure"]
    jobs = api.submission(submission_id)["jobs"]
    assert [api.get(f"api/jobs/{job}/info").json()["original_filename"] for job in jobs] == ["a", "b"]


def test_same_file_gives_the_same_hash_and_another_submission(api: Api, server: LocalServer) -> None:
    def upload() -> dict[str, object]:
        files = {"file": ("a", b"the same")}
        return dict(api.call("upload", {"session": api.session_key}, files=files).json())

    first, second = upload(), upload()
    assert first["hash"] == second["hash"]
    assert first["subid"] != second["subid"]
    assert (
        server.data_dir / "files" / str(first["hash"])[:3] / str(first["hash"])
    ).read_bytes() == b"the same"


def test_refused_upload_leaves_no_file(api: Api, server: LocalServer) -> None:
    content = b"to be refused" * 1000
    refused = [
        api.call("upload", {"session": "stale"}, files={"file": ("a", content)}),
        api.call("upload", {"session": api.session_key, "parity": "x"}, files={"file": ("a", content)}),
    ]
    assert [reply.json()["status"] for reply in refused] == ["error", "error"]
    stored = [path for path in (server.data_dir / "files").rglob("*") if path.is_file()]
    assert not any(path.stat().st_size == len(content) for path in stored)


def test_key_of_a_failed_login_is_told_to_nobody(api: Api, server: LocalServer) -> None:
    api.call("login", {"apikey": "verysecretkey"})
    requests.post(f"{server.url}/api/login", data={"request-json": '{"apikey": "verysecretkey"'}, timeout=30)
    written = b"".join(path.read_bytes() for path in server.data_dir.glob("*") if path.is_file())
    written += server.messages.encode()
    for secret in ("verysecretkey", server.api_key, api.session_key):
        assert secret.encode() not in written


@pytest.mark.parametrize(
    ("count", "size_bytes"), [(50, 200_000), pytest.param(200, 5_000_000, marks=pytest.mark.soak)]
)
def test_uploads_at_once_are_all_kept_in_bounded_memory(
    api: Api, server: LocalServer, count: int, size_bytes: int
) -> None:
    def upload(number: int) -> str:
        content = number.to_bytes(4, "big") * (size_bytes // 4)
        files = {"file": (str(number), content)}
        return str(api.call("upload", {"session": api.session_key}, files=files).json()["hash"])

    with ThreadPoolExecutor(count) as threads:
        hashes = set(threads.map(upload, range(count)))
    assert len(hashes) == count
    files = [server.data_dir / "files" / name[:3] / name for name in hashes]
    assert all(file.stat().st_size == size_bytes for file in files)
    assert server.pid
    assert peak_memory_bytes(server.pid) < 400_000_000


def peak_memory_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def long_form(session_key: str, *, size_bytes: int) -> Iterator[bytes]:
    """Make a form whose file is made while it is sent."""
    yield b'--B\r\nContent-Disposition: form-data; name="request-json"\r\n\r\n'
    yield json.dumps({"session": session_key}).encode()
    yield b'\r\n--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    yield from (bytes(1 << 16) for _ in range(size_bytes >> 16))
    yield b"\r\n--B--\r\n"


def send_form(api: Api, *, size_bytes: int, headers: dict[str, str]) -> tuple[int, bytes]:
    body = long_form(api.session_key, size_bytes=size_bytes)
    headers = {"Content-Type": "multipart/form-data; boundary=B", **headers}
    with contextlib.closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=30.0)) as connection:
        chunked = "Transfer-Encoding" in headers
        connection.request("POST", "/api/upload", body=body, headers=headers, encode_chunked=chunked)
        with connection.getresponse() as reply:
            return reply.status, reply.read()


@pytest.mark.parametrize(
    ("size_bytes", "status"), [(28_000_000, 200), (100_000_000, 413)], ids=["taken", "refused"]
)
def test_large_upload_needs_little_memory(
    api: Api, server: LocalServer, size_bytes: int, status: int
) -> None:
    assert server.pid
    before = peak_memory_bytes(server.pid)
    length = sum(map(len, long_form(api.session_key, size_bytes=size_bytes)))
    told, reply = send_form(api, size_bytes=size_bytes, headers={"Content-Length": str(length)})
    assert told == status
    assert ("takes (30000000 bytes)" in json.loads(reply).get("errormessage", "")) == (status == 413)
    assert peak_memory_bytes(server.pid) - before < 10_000_000


def test_form_of_unknown_length_is_not_read_as_on_nova(api: Api) -> None:
    _, reply = send_form(api, size_bytes=1, headers={"Transfer-Encoding": "chunked"})
    assert json.loads(reply) == {"status": "error", "errormessage": "no json"}


def test_cut_upload_leaves_nothing(api: Api, server: LocalServer) -> None:
    head = "POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    head += "Content-Type: multipart/form-data; boundary=B\r\n\r\n"
    part = '--B\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + "x" * 1000
    address = urlsplit(api.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall((head + part).encode())
        until(lambda: list((server.data_dir / "files" / "incoming").iterdir()), bool)
    until(lambda: list((server.data_dir / "files" / "incoming").iterdir()), lambda left: not left)
    assert "ClientDisconnect" not in server.messages


def test_picture_of_the_sky_is_solved_by_the_real_engine() -> None:
    view = View(ra_deg=83.0, dec_deg=5.0, width_deg=25.0, position_angle_deg=40.0)
    picture = render(view, np.random.default_rng(1)).picture_bytes("PNG")
    with LocalServer(workers=1) as server:
        api = Api.login(server.url, server.api_key)
        job_id = api.solve(
            api.upload(picture, "orion.png", scale_units="degwidth", scale_lower=20, scale_upper=30)
        )
        info = api.get(f"api/jobs/{job_id}/info").json()
    truth = view.truth(top_down=True)
    assert info["calibration"]["ra"] == pytest.approx(truth["ra"], abs=0.1)
    assert info["calibration"]["pixscale"] == pytest.approx(truth["pixscale"], rel=1e-3)
    assert "Betelgeuse" in info["objects_in_field"]
