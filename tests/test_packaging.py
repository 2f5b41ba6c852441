import ast
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
HEAVY = {
    "PIL",
    "astrometry",
    "astropy",
    "click",
    "matplotlib",
    "numpy",
    "rich",
    "sep",
    "starlette",
    "uvicorn",
}


def modules_after(statement: str) -> set[str]:
    """Return the names of the modules a new interpreter holds after a statement."""
    program = f"{statement}\nimport sys\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout))


@pytest.mark.parametrize("module", ["astrometry_client", "astrometry_client.session"])
def test_import_stays_light(module: str) -> None:
    assert HEAVY & modules_after(f"import {module}") == set()


def test_command_imports_only_what_is_asked_of_it() -> None:
    modules = modules_after(
        "import click, astrometry_client.cli as c\nc.main.get_command(click.Context(c.main), 'serve')"
    )
    assert "astrometry_client.cli.serve" in modules
    assert {"astrometry_client.cli.solve", "requests_cache", "rich"} & modules == set()


def test_versions_agree() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [PROJECT["version"]]
    assert importlib.metadata.version(PROJECT["name"]) == PROJECT["version"]
    assert PROJECT["version"] in (REPOSITORY / "CHANGELOG.md").read_text()


def package_files() -> set[str]:
    """Return what the package folder holds, bytecode aside, as paths from the repository."""
    found = (REPOSITORY / "astrometry_client").rglob("*")
    files = {path for path in found if path.is_file() and "__pycache__" not in path.parts}
    return {path.relative_to(REPOSITORY).as_posix() for path in files}


def test_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(REPOSITORY)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("astrometry_client/")}
    assert packed == package_files() | {"astrometry_client/examples/orion.jpg"}
    assert "astrometry_client/py.typed" in packed


def test_source_archive_holds_package_tests_and_licence(tmp_path: Path) -> None:
    (sdist,) = SdistBuilder(str(REPOSITORY)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames()}
    assert package_files() | {"LICENSE", "README.md", "tox.ini", "tests/test_packaging.py"} <= packed
