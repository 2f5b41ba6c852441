"""The page on testing says nothing that does not run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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


def test_plugin_imports_nothing_heavy() -> None:
    look = "import sys, astrometry_client.pytest_fixture; print({'attrs', 'requests'} & set(sys.modules))"
    command = [sys.executable, "-c", look]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed == "set()\n"
