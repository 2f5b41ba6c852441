"""What the README and the examples show works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from astrometry_client.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^astrometry-client ([^#\n]*)", README, re.MULTILINE)


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program with this installation's commands on its path, and return what it printed."""
    bin_dir = Path(sys.executable).parent
    path = f"{bin_dir}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder with the image the README speaks of."""
    shutil.copy(ROOT / "examples" / "orion.jpg", tmp_path / "m31.jpg")
    return tmp_path


def test_there_is_something_to_check() -> None:
    assert len(SNIPPETS) == 4
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet: str, folder: Path) -> None:
    dry = {} if "NovaServer" in snippet else {"DRY_RUN_ENABLED": "1"}
    run(sys.executable, "-W", "error", "-c", snippet, folder=folder, **dry)


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_and_its_options_exist(arguments: str) -> None:
    name, *rest = arguments.split()
    command = main.get_command(click.Context(main), name)
    if isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_options_the_text_names_exist() -> None:
    named = set(re.findall(r"`(--[a-z-]+)", README))
    commands = [main.get_command(click.Context(main), name) for name in ("solve", "serve")]
    assert named <= {option for command in commands if command for p in command.params for option in p.opts}


def test_example_of_the_library(folder: Path) -> None:
    printed = run(
        sys.executable, ROOT / "examples" / "solve_with_the_library.py", "m31.jpg", "--local", folder=folder
    )
    ra_deg, dec_deg, scale_arcsec = map(
        float, re.findall(r"(?:RA |Dec |^)([-+]?\d+\.\d+)", printed, re.MULTILINE)
    )
    assert (ra_deg, dec_deg) == pytest.approx((83.8, -1.0), abs=0.28)
    assert scale_arcsec == pytest.approx(72.0, rel=1e-3)


def test_example_of_the_command(folder: Path) -> None:
    printed = run("sh", ROOT / "examples" / "solve_with_the_command.sh", "m31.jpg", folder=folder)
    assert "Solved m31.jpg" in printed
    assert re.search(r"^7[12]\.\d+ arcsec per pixel$", printed, re.MULTILINE)


def test_example_of_the_dry_run(folder: Path) -> None:
    printed = run(sys.executable, ROOT / "examples" / "dry_run.py", "m31.jpg", folder=folder)
    assert "submission" in printed


def test_commands_of_ci_and_readme_are_one() -> None:
    (second,) = re.findall(r"^python3 .*tox$", README, re.MULTILINE)
    assert second in (ROOT / ".ci" / "run").read_text()
