"""The drop-in against the original, against a real server, and against one that fails as it is told."""

import inspect
import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sky
from astropy.io import fits

from astrometry_client.astroquery import (
    AstrometryNet,
    AstrometryNetClass,
    RefusedError,
    TimeoutError,  # noqa: A004
    conf,
)
from astrometry_client.errors import InputError, SolveTimeout, UnreadableFileError
from astrometry_client.server.run import LocalServer
from astrometry_client.testing import UNSOLVED, Cut, Fault, NovaServer, Reset, Status, TableEngine, place_of

VIEW = sky.View(ra_deg=83.8, dec_deg=-1.0, width_deg=25.0, position_angle_deg=30.0)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def no_key_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "api_key", "")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "orion.fits"
    path.write_bytes(sky.render(VIEW, np.random.default_rng(1)).fits_bytes())
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["OBJECT"] = "Orion"
        hdus[0].header["OBJCTRA"], hdus[0].header["OBJCTDEC"] = "05 35 12", "-01 00 00"
        hdus[0].header["RADEG"], hdus[0].header["DECDEG"] = 83.8, -1.0
    return path


@pytest.fixture
def solver(nova: LocalServer) -> AstrometryNetClass:
    made = AstrometryNet()
    made.URL = nova.url
    made.api_key = nova.api_key
    return made


@pytest.fixture
def small(nova_server: NovaServer) -> AstrometryNetClass:
    made = AstrometryNet()
    made.URL = nova_server.url
    made.api_key = nova_server.api_key
    return made


def answer_json(document: object) -> Status:
    """Return this answer in place of the server's own."""
    return Status(200, body=json.dumps(document), kind="text/plain")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    path.write_bytes(PNG + b"a")
    return path


def assert_centre(header: fits.Header) -> None:
    """Check where the centre of the rendered image lies."""
    from astropy.wcs import WCS

    header = header.copy()
    header["NAXIS"] = 2
    centre = WCS(header).pixel_to_world((VIEW.width_px - 1) / 2, (VIEW.height_px - 1) / 2)
    assert (centre.ra.deg, centre.dec.deg) == pytest.approx((83.8, -1.0), abs=0.05)


@pytest.mark.parametrize(
    "name", ["solve_from_image", "solve_from_source_list", "monitor_submission", "show_allowed_settings"]
)
def test_signature_is_that_of_the_original(name: str) -> None:
    from astroquery.astrometry_net import AstrometryNet as Original

    ours, theirs = (inspect.signature(getattr(solver, name)) for solver in (AstrometryNet, Original))
    assert [(p.name, p.kind, p.default) for p in ours.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


def test_public_names_of_the_original_exist() -> None:
    import astroquery.astrometry_net as original
    from astroquery.query import BaseQuery

    theirs = {name for name in vars(original.AstrometryNetClass) if not name.startswith("_")}
    # Their `login` comes from a metaclass and always fails, as their base class has none.
    assert theirs - set(dir(BaseQuery)) - {"login"} <= set(dir(AstrometryNet))
    assert set(original.__all__) <= set(dir(sys.modules["astrometry_client.astroquery"]))
    assert (AstrometryNet.URL, AstrometryNet.API_URL, AstrometryNet.TIMEOUT) == (
        original.AstrometryNet.URL,
        original.AstrometryNet.API_URL,
        original.AstrometryNet.TIMEOUT,
    )


def test_empty_settings_are_those_of_the_original_and_may_be_given_back(
    nova_server: NovaServer, small: AstrometryNetClass
) -> None:
    from astroquery.astrometry_net import AstrometryNet as Original

    assert {name: small.empty_settings[name] for name in Original.empty_settings} == Original.empty_settings
    small.empty_settings["tweak_order"] = 5
    small.solve_from_source_list([1], [2], 30, 40, **small.empty_settings)
    assert nova_server.uploads[0].options == {
        **{name: value for name, value in Original.empty_settings.items() if value is not None},
        "image_width": 30,
        "image_height": 40,
        "listed": True,
    }
    assert nova_server.uploads[0].content == b"1.0 2.0\n"


def test_image_is_uploaded_and_solved(
    solver: AstrometryNetClass, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, submission_id = solver.solve_from_image(image, force_image_upload=True, return_submission_id=True)
    assert isinstance(header, fits.Header)
    assert_centre(header)
    assert capsys.readouterr().out.startswith("Solving..")
    again = solver.monitor_submission(str(submission_id), verbose=False, return_submission_id=True)
    assert again == (header, str(submission_id))
    assert capsys.readouterr().out == ""


def test_sources_are_found_here_and_solved(
    solver: AstrometryNetClass, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(action="error"):
        header = solver.solve_from_image(str(image))
    assert_centre(header)
    assert capsys.readouterr().out.startswith("Found ")


@pytest.mark.parametrize(
    "keys",
    [
        {"ra_key": "OBJCTRA", "dec_key": "OBJCTDEC"},
        {"ra_key": "RADEG", "dec_key": "DECDEG", "ra_dec_units": ("degree", "degree")},
    ],
)
def test_position_comes_from_the_header(
    nova_server: NovaServer, small: AstrometryNetClass, image: Path, keys: dict[str, str]
) -> None:
    small.solve_from_image(image, radius=20, **keys)
    sent = nova_server.uploads[0].options
    assert (sent["center_ra"], sent["center_dec"], sent["radius"]) == pytest.approx((83.8, -1.0, 20))


@pytest.mark.parametrize("key", ["NOWHERE", "OBJECT"])
def test_header_without_a_position_is_told_before_any_request(
    nova_server: NovaServer, small: AstrometryNetClass, image: Path, key: str
) -> None:
    with pytest.raises(InputError, match=f"ra_key='{key}'"):
        small.solve_from_image(image, ra_key=key, dec_key=key)
    assert nova_server.requests == []


def test_image_without_sources_is_uploaded_with_a_warning(
    nova_server: NovaServer, small: AstrometryNetClass, picture: Path
) -> None:
    with pytest.warns(UserWarning, match="image is uploaded") as told:
        header = small.solve_from_image(picture, verbose=False)
    assert told[0].filename == __file__
    assert header["CRVAL1"] == place_of(picture.name).ra_deg
    assert nova_server.uploads[0].content == picture.read_bytes()


def test_image_whose_upload_is_not_answered_is_not_uploaded_twice(
    nova_server: NovaServer, small: AstrometryNetClass, picture: Path
) -> None:
    nova_server.plan(Reset("processed").at("upload"))
    header = small.solve_from_image(picture, force_image_upload=True)
    assert header["CRVAL1"] == place_of(picture.name).ra_deg
    assert len(nova_server.uploads) == 1


@pytest.mark.parametrize("fault", [Reset("processed"), Cut()])
def test_faults_while_waiting_are_got_over(
    nova_server: NovaServer, small: AstrometryNetClass, fault: Fault
) -> None:
    nova_server.plan(*(fault.at(call, 1) for call in ("submission", "job", "calibration", "wcs_file")))
    assert small.solve_from_source_list([1], [2], 3, 4)["CRVAL1"] > 0
    assert len(nova_server.uploads) == 1
    assert [request.fault for request in nova_server.requests].count(fault) >= 2


def test_refused_upload_is_a_runtime_error(nova_server: NovaServer, small: AstrometryNetClass) -> None:
    small.solve_from_source_list([1], [2], 3, 4)
    nova_server.plan(answer_json({"status": "error", "errormessage": "no more"}).at("upload"))
    with pytest.raises(RefusedError, match="no more") as caught:
        small.solve_from_source_list([1], [3], 3, 4)
    assert caught.value.server_message == "no more"


@pytest.mark.nova_server(engine=TableEngine({"dark*": UNSOLVED}))
def test_no_solution_is_an_empty_dictionary(
    small: AstrometryNetClass, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dark.png"
    path.write_bytes(PNG + b"dark")
    assert small.solve_from_image(path, force_image_upload=True) == {}
    assert "Job 1 ended without a solution" in caplog.text
    assert small.monitor_submission(1, return_submission_id=True) == ({}, 1)


def test_rejected_image_is_an_empty_dictionary_at_once(
    solver: AstrometryNetClass, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cut.fits").write_bytes(b"SIMPLE  =                    T")
    header, submission_id = solver.solve_from_image(
        tmp_path / "cut.fits", force_image_upload=True, return_submission_id=True
    )
    assert header == {}
    assert f"Submission {submission_id} was rejected" in caplog.text


def test_late_solve_is_taken_up_as_the_original_documents_it(solver: AstrometryNetClass, image: Path) -> None:
    import astroquery.exceptions

    with pytest.raises(astroquery.exceptions.TimeoutError) as caught:
        solver.solve_from_image(image, force_image_upload=True, solve_timeout=1e-6, submission_id=None)
    submission_id = caught.value.args[1]
    with pytest.raises(SolveTimeout) as again:
        solver.monitor_submission(submission_id, solve_timeout=1e-6)
    assert again.value.submission_id == submission_id
    assert_centre(solver.monitor_submission(submission_id))


def test_late_solve_is_told_without_the_original_too() -> None:
    program = (
        "import pickle\n"
        "from astrometry_client.astroquery.exceptions import TimeoutError as Ours, too_late\n"
        "late = pickle.loads(pickle.dumps(too_late('late', 7)))\n"
        "print(type(late) is Ours, isinstance(late, TimeoutError), str(late), late.args)"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert printed.stdout == "True True late ('late', 7)\n"


def test_late_solve_travels_between_processes(small: AstrometryNetClass, nova_server: NovaServer) -> None:
    import astroquery.exceptions

    times = {"processing_started": "None", "processing_finished": "None"}
    nova_server.plan(answer_json({**times, "jobs": [], "job_calibrations": []}).at("submission"))
    with pytest.raises(TimeoutError) as caught:
        small.monitor_submission("12", solve_timeout=1e-6)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, astroquery.exceptions.TimeoutError)
    assert (copy.args, copy.submission_id) == (caught.value.args, 12)
    assert copy.args[1] == "12"


def test_key_belongs_to_the_configuration_all_share() -> None:
    AstrometryNet().api_key = "key"
    assert (conf.api_key, AstrometryNet().api_key) == ("key", "key")
    assert "key" not in repr(conf).replace("api_key", "")


def test_key_is_found_where_every_session_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="ASTROMETRY_API_KEY"):
        _ = AstrometryNet().api_key
    monkeypatch.setenv("ASTROMETRY_API_KEY", "mine")
    assert AstrometryNet().api_key == "mine"


def test_address_may_be_that_of_the_api(nova_server: NovaServer) -> None:
    made = AstrometryNet()
    made.API_URL = f"{nova_server.url}/api"
    assert (nova_server.url, f"{nova_server.url}/api") == (made.URL, made.API_URL)
    assert conf.server == AstrometryNet.URL


def test_server_of_the_configuration_counts(nova_server: NovaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "server", nova_server.url)
    monkeypatch.setattr(conf, "api_key", nova_server.api_key)
    AstrometryNet().solve_from_source_list([1], [2], 3, 4)
    assert len(nova_server.uploads) == 1


def test_one_login_serves_all_solves(nova_server: NovaServer, small: AstrometryNetClass) -> None:
    for y in (4, 5, 6):
        small.solve_from_source_list(np.array([1, 2]), (value for value in (3, y)), 30, 40, verbose=False)
    assert nova_server.counts()["login"] == 1
    assert [upload.content for upload in nova_server.uploads] == [
        b"1.0 3.0\n2.0 %d.0\n" % y for y in (4, 5, 6)
    ]


def test_more_sources_than_the_solver_looks_at_are_cut(
    nova_server: NovaServer, small: AstrometryNetClass
) -> None:
    small.solve_from_source_list(range(1, 1501), range(1, 1501), 2000, 2000)
    assert len(nova_server.uploads[0].content.splitlines()) == 1000


@pytest.mark.parametrize(
    "settings", [{"scal_units": "degwidth"}, {"center_ra": 400, "center_dec": 0, "radius": 1}]
)
def test_wrong_setting_is_a_value_error_before_any_request(
    nova_server: NovaServer, small: AstrometryNetClass, settings: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        small.solve_from_source_list([1], [2], 3, 4, **settings)
    assert nova_server.requests == []


@pytest.mark.parametrize("positions", [["a"], [None], 5, [float("nan")], []])
def test_wrong_position_is_a_value_error(small: AstrometryNetClass, positions: object) -> None:
    with pytest.raises(ValueError, match="x"):
        small.solve_from_source_list(positions, [2], 3, 4)


@pytest.mark.parametrize("submission_id", [None, "latest", -1])
def test_wrong_submission_id_is_a_value_error(small: AstrometryNetClass, submission_id: object) -> None:
    with pytest.raises(ValueError, match="submission_id="):
        small.monitor_submission(submission_id)


def test_missing_file_is_told(small: AstrometryNetClass) -> None:
    with (
        pytest.raises(UnreadableFileError, match=r"nowhere\.fits"),
        pytest.warns(UserWarning, match="uploaded"),
    ):
        small.solve_from_image("nowhere.fits")


def test_refused_key_is_a_runtime_error(nova: LocalServer, image: Path) -> None:
    made = AstrometryNet()
    made.URL, made.api_key = nova.url, "wrong"
    with pytest.raises(RefusedError, match="API key") as caught:
        made.solve_from_image(image)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.server_message == "bad apikey"


def test_allowed_settings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    AstrometryNet.show_allowed_settings()
    shown = capsys.readouterr().out
    for name in AstrometryNet.empty_settings:
        assert f"\n{name}: " in f"\n{shown}"


def test_whole_solve_runs_dry(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    assert AstrometryNet().solve_from_image(image)["CTYPE1"].startswith("RA---TAN")
