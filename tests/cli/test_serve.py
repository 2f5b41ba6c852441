"""`serve` as a user starts it."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from astrometry_client.cli.serve import serve, size
from astrometry_client.server.database import Database


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1", 1), ("500M", 500 << 20), ("2g", 2 << 30), ("3KiB", 3 << 10), ("1TB", 1 << 40)],
)
def test_size_is_read(text: str, size_bytes: int) -> None:
    assert size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "0", "-1", "5X", "1.5G", "M"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size"):
        size(text)


@pytest.mark.parametrize(("given", "user"), [(["--new-key"], "local"), (["--new-key", "joe"], "joe")])
def test_new_key_is_printed_once_and_not_kept(tmp_path: Path, given: list[str], user: str) -> None:
    result = CliRunner().invoke(serve, [*given, "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    key = result.stdout.strip()
    assert key.isalpha()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.encode() not in kept
    database = Database(tmp_path / "server.sqlite")
    assert [row["name"] for row in database.rows("SELECT name FROM users")] == [user]
    database.close()
