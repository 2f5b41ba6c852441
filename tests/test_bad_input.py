"""Bad input is named before any request is made."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import FaultyServer

from astrometry_client import Client, Settings
from astrometry_client.errors import InputError, UnreadableFileError


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def client(server: FaultyServer) -> Client:
    return Client("key", base_url=server.url)


def garbage(folder: Path) -> Path:
    path = folder / "garbage.fits"
    path.write_bytes(b"\x01\x02\x03" * 1000)
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.fits"
    path.touch()
    return path


def unreadable(folder: Path) -> Path:
    """Return a path nobody can open, not even root: a socket."""
    path = folder / "socket.fits"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def loop(folder: Path) -> Path:
    path = folder / "loop.fits"
    path.symlink_to(path)
    return path


FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "garbage": (garbage, "is not an image"),
    "empty": (empty, "is empty"),
    "directory": (lambda folder: folder, "directory"),
    "missing": (lambda folder: folder / "nowhere.fits", "No such file"),
    "unreadable": (unreadable, "cannot be read"),
    "loop": (loop, "cannot be read"),
    "long name": (lambda folder: folder / ("n" * 300), "too long"),
    "null": (lambda _: Path("/dev/null"), "is a device"),
    "endless": (lambda _: Path("/dev/zero"), "is a device"),
    "random": (lambda _: Path("/dev/urandom"), "is a device"),
}
CALLS: dict[str, Callable[[Client, Any], Any]] = {
    "solve": lambda client, path: client.solve(path),
    "upload_file": lambda client, path: client.upload_file(str(path)),
    "calibrate_file_wcs": lambda client, path: client.calibrate_file_wcs(path),
    "upload_files_gen": lambda client, path: list(client.upload_files_gen([path])),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", FILES)
def test_file_that_cannot_be_solved_is_named(
    server: FaultyServer, client: Client, tmp_path: Path, kind: str, call: str
) -> None:
    make, words = FILES[kind]
    path = make(tmp_path)
    with pytest.raises(UnreadableFileError, match=words) as caught:
        CALLS[call](client, path)
    assert str(path) in str(caught.value)
    assert server.arrivals == []


def xy(count: int) -> list[float]:
    return [1.0] * count


SIZE = {"image_width_px": 100, "image_height_px": 100}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.solve_sources(xy(10_000), xy(10_000), **SIZE), "x has 10000 positions"),
        (lambda client: client.solve_sources(xy(5), xy(6), **SIZE), "x has 5, y has 6"),
        (lambda client: client.solve_sources([1, float("nan")], xy(2), **SIZE), r"x\[1\]=nan"),
        (lambda client: client.solve_sources(xy(5), xy(5)), "image_width_px"),
        (lambda client: client.solve_url("m31.jpg"), "url='m31.jpg'"),
        (lambda client: client.solve(b"1 2\n", timeout_s=0), "timeout_s=0"),
        (
            lambda client: client.solve(b"1 2\n", Settings(radius_deg=5)),
            "center_ra_deg, center_dec_deg missing",
        ),
        (lambda client: client.solve(b"1 2\n", Settings(scale_est=5)), "scale_err_percent missing"),
        (lambda client: client.upload_files_gen([], workers=0), "workers=0"),
        (lambda client: client.jobs_by_tag(""), "tag=''"),
        (lambda client: client.job(1).download("movie", "a"), "kind='movie'"),
        (lambda client: client.job("x").status(), "job_id='x'"),
        (lambda client: client.job(-1).info(), "job_id=-1"),
        (lambda client: client.submission(True).status(), "submission_id=True"),
        (lambda client: client.submission_images("7"), "submission_id='7'"),
        (lambda client: client.solve(b"1 2\n", timeout_s="1"), "timeout_s='1'"),
        (lambda client: client.solve(b"1 2\n", {"scale_lower": 1}), "settings is dict"),
        (lambda client: list(client.solve_many("a.png")), "'a.png' is one path"),
        (lambda client: list(client.solve_many(["a.png"], deadline_s=0)), "deadline_s=0"),
        (lambda client: client.upload_files_gen(Path("a.png")), "is one path"),
        (lambda client: Client("key", base_url=5), "base_url=5"),
        (lambda client: Client("key", base_url="http://[::1"), "base_url='http://"),
    ],
)
def test_value_that_cannot_be_is_named(
    server: FaultyServer, client: Client, call: Callable[[Client], Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        call(client)
    assert server.arrivals == []


def test_bad_file_among_many_stops_before_the_first_upload(
    server: FaultyServer, client: Client, tmp_path: Path
) -> None:
    good = tmp_path / "good.png"
    good.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UnreadableFileError, match="nowhere"):
        client.upload_files_gen([good, tmp_path / "nowhere.png"])
    assert server.arrivals == []


def test_missing_key_is_told_before_any_request(server: FaultyServer) -> None:
    with pytest.raises(InputError, match="ASTROMETRY_API_KEY"):
        Client(base_url=server.url).solve(b"1 2\n")
    assert server.arrivals == []
