"""Archives give their regular files, and can do no harm."""

import io
import random
import tarfile
from pathlib import Path

import attrs
import pytest

from astrometry_client.server.archive import ArchiveError, is_archive, unpack
from astrometry_client.server.engine.sep_engine import SepEngine
from astrometry_client.server.files import FileStore
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.solving import Solving
from astrometry_client.server.tasks import Found, ReadTask
from astrometry_client.server.workers import understand


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(data_dir=tmp_path / "data", archive_files=3, unpacked_bytes=10_000)


def archive(path: Path, files: dict[str, bytes], *, mode: str = "w", links: tuple[str, ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:
        for target in links:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def contents(path: Path, settings: ServerSettings) -> list[tuple[str, bytes]]:
    store = FileStore(settings.files_dir)
    found = unpack(path, store=store, settings=settings)
    return [(name, store.path(stored.sha1).read_bytes()) for name, stored in found]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_every_file_comes_out(tmp_path: Path, settings: ServerSettings, mode: str) -> None:
    path = archive(tmp_path / "a", {"one": b"1", "folder/two": b"22"}, mode=mode)
    assert is_archive(path)
    assert contents(path, settings) == [("one", b"1"), ("two", b"22")]


def test_names_and_links_lead_nowhere(tmp_path: Path, settings: ServerSettings) -> None:
    path = archive(tmp_path / "a", {"../../evil": b"1", "/etc/evil": b"2"}, links=("/etc/passwd",))
    assert contents(path, settings) == [("evil", b"1"), ("evil", b"2")]
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p != path]
    assert all(p.is_relative_to(settings.files_dir) for p in written)


def test_name_of_another_encoding_can_be_kept(tmp_path: Path, settings: ServerSettings) -> None:
    path = archive(tmp_path / "a", {"caf\udce9.fits": b"1"})
    assert contents(path, settings) == [("caf\N{REPLACEMENT CHARACTER}.fits", b"1")]


@pytest.mark.parametrize(
    "files",
    [{str(number): b"" for number in range(4)}, {"big": b"0" * 10_001}, {"a": b"0" * 6000, "b": b"1" * 6000}],
    ids=["too many", "one too large", "too large together"],
)
def test_more_than_is_allowed_is_refused(
    tmp_path: Path, settings: ServerSettings, files: dict[str, bytes]
) -> None:
    with pytest.raises(ArchiveError, match="may hold 3 files of 10000 bytes"):
        contents(archive(tmp_path / "a", files, mode="w:gz"), settings)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_cut_archive_is_told(tmp_path: Path, settings: ServerSettings, mode: str) -> None:
    big = attrs.evolve(settings, unpacked_bytes=10**6)
    noise = random.Random(1).randbytes(50_000)
    path = archive(tmp_path / "a", {"a": noise}, mode=mode)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path, big)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8b\x08", b"BZh91AY"])
def test_other_files_are_no_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_archive(tmp_path / "a")


def test_archive_can_be_read_on(tmp_path: Path, settings: ServerSettings) -> None:
    path = archive(tmp_path / "a", {"one": b"1", "two": b"2", "three": b"3"}, links=("x",), mode="w:gz")
    big = attrs.evolve(settings, archive_files=5)
    found = unpack(path, store=FileStore(settings.files_dir), settings=big, start=2)
    assert [name for name, _ in found] == ["three"]


def test_long_archive_is_read_in_turns(
    tmp_path: Path, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astrometry_client.server.solving.TURN_S", -1.0)
    store = FileStore(settings.files_dir)
    solving = Solving(SepEngine(index_files=[]), store, settings)
    sources = "".join(f"{number} {number}\n" for number in range(1, 9)).encode()
    content = archive(tmp_path / "a", {"a": sources, "no image": b"\0", "b": sources}).read_bytes()
    task, turns = ReadTask(1, store.store(content).sha1, "a", {}), []
    for _ in range(4):
        found = understand(solving.read(task))
        assert isinstance(found, Found)
        turns.append(([image.filename for image in found.images], found.members_read))
        task = attrs.evolve(task, members_read=found.members_read)
    assert turns == [(["a"], 1), ([], 2), (["b"], 3), ([], None)]
