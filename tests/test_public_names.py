import ast
import importlib
import importlib.metadata
import types
from pathlib import Path

import pytest

import astrometry_client

PUBLIC_MODULES = ["astrometry_client", "astrometry_client.session"]


def rank(name: str) -> tuple[int, str]:
    """Order constants first, then classes, then the rest, each by alphabet."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.fixture(params=PUBLIC_MODULES)
def module(request: pytest.FixtureRequest) -> types.ModuleType:
    return importlib.import_module(request.param)


def test_list_is_sorted_without_repeats(module: types.ModuleType) -> None:
    assert module.__all__ == sorted(set(module.__all__), key=rank)


def test_every_listed_name_exists(module: types.ModuleType) -> None:
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_every_public_name_is_listed(module: types.ModuleType) -> None:
    public = {
        name
        for name in dir(module)
        if not name.startswith("_") and not isinstance(getattr(module, name), types.ModuleType)
    }
    assert public - set(module.__all__) == set()


def test_every_listed_class_and_function_is_documented(module: types.ModuleType) -> None:
    listed = {name: getattr(module, name) for name in module.__all__}
    silent = [name for name, value in listed.items() if callable(value) and not value.__doc__]
    assert silent == []


def test_type_checkers_are_told_the_same_names() -> None:
    stub = Path(astrometry_client.__file__).with_suffix(".pyi").read_text()
    told = [
        alias.asname
        for node in ast.parse(stub).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(told) == sorted(astrometry_client.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = astrometry_client.no_such_name  # type: ignore[attr-defined]


def test_version_is_that_of_the_distribution() -> None:
    assert astrometry_client.__version__ == importlib.metadata.version("astrometry-client")
