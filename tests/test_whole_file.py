"""Files that are all there or not there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from astrometry_client.errors import InputError
from astrometry_client.whole_file import private_folder, write_whole, writing_whole


def write_half(path: Path, error: type[BaseException]) -> None:
    with writing_whole(path) as file:
        file.write(b"new")
        raise error


def test_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError):
        write_half(path, RuntimeError)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "a", KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_error_names_the_file_that_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/a'$"):
        write_whole(tmp_path / "nowhere" / "a", b"")
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match=r"device: '.*/a'$"), writing_whole(tmp_path / "a"):
        raise full
    lost = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    with pytest.raises(ConnectionResetError, match=r"peer$"), writing_whole(tmp_path / "a"):
        raise lost


def test_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "a")
    for content in (b"new", b"newer"):
        write_whole(link, content)
        assert (tmp_path / "a").read_bytes() == content
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "a"
    make(path)
    before = path.stat()
    with pytest.raises(InputError, match="no plain file"):
        write_whole(path, b"")
    assert path.stat().st_mode == before.st_mode
    assert list(tmp_path.iterdir()) == [path]


def test_private_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "deep" / "folder")
    path = write_whole(folder / "key", b"secret", private=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
