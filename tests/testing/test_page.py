"""The page on testing says nothing that does not run."""

import doctest
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from astrometry_client.testing import clock, nova_server

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
PIPELINE, *SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_pipeline_of_the_page_is_tested_as_shown(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(PIPELINE, names)
    (shown,) = (value for name, value in names.items() if name.startswith("test_"))
    request.applymarker(pytest.mark.nova_server(**shown.pytestmark[0].kwargs))
    shown(request.getfixturevalue("nova_server"), tmp_path)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(snippet, {})
    assert capsys.readouterr().out == ("120.0\n" if "print" in snippet else "")


@pytest.mark.parametrize("module", [clock, nova_server], ids=["clock", "nova_server"])
def test_examples_of_docstrings_run(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


def test_plugin_imports_nothing_heavy() -> None:
    look = "import sys, astrometry_client.pytest_fixture; print({'attrs', 'requests'} & set(sys.modules))"
    command = [sys.executable, "-c", look]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed == "set()\n"


WITHOUT_SOLVER = """
import sys
sys.modules.update(dict.fromkeys(("astrometry", "sep", "uvicorn")))  # no such module, then
from astrometry_client import Client
from astrometry_client.testing import NovaServer, fits_image
with NovaServer() as server, Client(server.api_key, base_url=server.url) as client:
    job = client.upload_file(fits_image())
    print(len(job.corr_file()), job.annotated_display()[:2])
"""


def test_nothing_of_the_solver_is_needed() -> None:
    command = [sys.executable, "-W", "error", "-c", WITHOUT_SOLVER]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    assert printed == "2 b'\\xff\\xd8'\n"
