"""Result files onto the disk: whole or not at all, and in constant memory."""

import gzip
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import Answer, Arrival, Fault, FaultyServer, answer_json

from astrometry_client.errors import InputError, MalformedReply, NotAvailable, NotFound
from astrometry_client.session import ClientSession

CONTENT = b"SIMPLE  =                    T".ljust(2880 * 40, b"x")
FITS = Answer(body=CONTENT, kind="application/fits")
FAULTS = {
    "cut": Answer(body=CONTENT, kind="application/fits", fault=Fault.CUT),
    "no whole blocks": Answer(body=CONTENT[:-1], kind="application/fits"),
    "HTML": Answer(body=b"<!DOCTYPE html><html></html>", kind="text/html"),
    "wrong magic": Answer(body=bytes(2880), kind="application/fits"),
    "reset": Answer(fault=Fault.RESET_AFTER),
    "overloaded": Answer(status=503),
}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Return a path to download to; afterwards nothing but it may be in its folder."""
    target = tmp_path / "out" / "wcs.fits"
    target.parent.mkdir()
    yield target
    assert set(target.parent.iterdir()) <= {target}


def test_file_arrives_whole(server: FaultyServer, session: ClientSession, target: Path) -> None:
    server.default = FITS
    assert session.download(f"{server.url}/wcs_file/1", target) == target
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_fault_is_repeated(server: FaultyServer, session: ClientSession, target: Path, fault: Answer) -> None:
    server.script(fault, fault)
    server.default = FITS
    session.download(f"{server.url}/wcs_file/1", target)
    assert target.read_bytes() == CONTENT
    assert len(server.arrivals) == 3


@pytest.mark.parametrize("fault", [FAULTS["cut"], FAULTS["HTML"]], ids=["cut", "HTML"])
def test_failure_leaves_the_earlier_file(
    server: FaultyServer, session: ClientSession, target: Path, fault: Answer
) -> None:
    target.write_bytes(b"earlier")
    server.default = fault
    with pytest.raises(MalformedReply):
        session.download(f"{server.url}/wcs_file/1", target)
    assert target.read_bytes() == b"earlier"


def test_file_that_does_not_exist_is_not_asked_for_again(
    server: FaultyServer, session: ClientSession, target: Path
) -> None:
    server.default = Answer(status=500)
    with pytest.raises(NotAvailable):
        session.download(f"{server.url}/wcs_file/1", target)
    server.default = Answer(status=404)
    with pytest.raises(NotFound):
        session.download(f"{server.url}/wcs_file/2", target)
    assert len(server.arrivals) == 2


def test_compressed_transfer_is_unpacked(server: FaultyServer, session: ClientSession, target: Path) -> None:
    server.default = Answer(
        body=gzip.compress(CONTENT), kind="application/fits", headers={"Content-Encoding": "gzip"}
    )
    session.download(f"{server.url}/wcs_file/1", target)
    assert target.read_bytes() == CONTENT


def test_document_is_judged_too(server: FaultyServer, session: ClientSession, target: Path) -> None:
    server.default = answer_json({"annotations": []})
    session.download(f"{server.url}/api/jobs/1/annotations", target)
    assert target.read_bytes() == b'{"annotations": []}'


def test_file_is_kept_and_copied_from_the_cache(server: FaultyServer, target: Path, tmp_path: Path) -> None:
    server.default = FITS
    with ClientSession(tmp_path / "cache" / "replies.sqlite") as session:
        session.download(f"{server.url}/wcs_file/1", target)
        target.unlink()
        session.download(f"{server.url}/wcs_file/1", target)
        assert target.read_bytes() == CONTENT
        assert session.get(f"{server.url}/wcs_file/1").content == CONTENT
        assert len(server.arrivals) == 1
        session.download(f"{server.url}/wcs_file/1", target, force_refresh=True)
    assert len(server.arrivals) == 2


def test_reply_stored_by_a_get_serves_a_download(server: FaultyServer, target: Path, tmp_path: Path) -> None:
    server.default = FITS
    with ClientSession(tmp_path / "cache" / "replies.sqlite") as session:
        session.get(f"{server.url}/wcs_file/1")
        session.download(f"{server.url}/wcs_file/1", target)
    assert target.read_bytes() == CONTENT
    assert len(server.arrivals) == 1


def test_expired_file_is_fetched_anew(server: FaultyServer, target: Path, tmp_path: Path) -> None:
    server.default = FITS
    with ClientSession(tmp_path / "cache" / "replies.sqlite", expire_after=0.0001) as session:
        for _ in range(2):
            session.download(f"{server.url}/wcs_file/1", target)
    assert len(server.arrivals) == 2


def test_dry_run_writes_a_stand_in_but_over_nothing(session: ClientSession, target: Path) -> None:
    session.download("https://nova.example/wcs_file/1", target, dry_run=True)
    assert target.read_bytes().startswith(b"SIMPLE  =")
    target.write_bytes(b"real")
    session.download("https://nova.example/wcs_file/1", target, dry_run=True)
    assert target.read_bytes() == b"real"


def test_folder_that_does_not_exist_is_reported_at_once(
    server: FaultyServer, session: ClientSession, tmp_path: Path
) -> None:
    server.default = FITS
    with pytest.raises(InputError, match="missing"):
        session.download(f"{server.url}/wcs_file/1", tmp_path / "missing" / "wcs.fits")
    assert len(server.arrivals) == 1


def test_interrupt_leaves_no_half_file_and_a_usable_session(
    server: FaultyServer, session: ClientSession, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.default = FITS
    calls = []

    def interrupt(response: object, last_bytes: bytes, size_bytes: int) -> None:
        calls.append(size_bytes)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("astrometry_client.session.downloads.judge_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.download(f"{server.url}/wcs_file/1", target)
    assert calls == [len(CONTENT)]
    assert not target.exists()
    session.download(f"{server.url}/wcs_file/1", target)
    assert target.read_bytes() == CONTENT


def test_large_file_takes_little_memory(server: FaultyServer, target: Path) -> None:
    size_bytes = 2880 * 50_000
    server.responder = lambda arrival: _large(arrival, size_bytes)
    script = f"""
import resource
from astrometry_client.session import ClientSession
with ClientSession() as session:
    session.get({server.url!r} + "/api/jobs/1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    session.download({server.url!r} + "/new_fits_file/1", {str(target)!r})
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert target.stat().st_size == size_bytes
    assert int(run.stdout) * resource.getpagesize() / 4096 < 32 * 1024


def _large(arrival: Arrival, size_bytes: int) -> Answer | None:
    if arrival.path.startswith("/api"):
        return None
    return Answer(body=b"SIMPLE  =".ljust(size_bytes), kind="application/fits")
