import importlib
import types

import pytest

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
