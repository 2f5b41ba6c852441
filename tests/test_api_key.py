"""Where the API key is found, and what is said when it is not."""

import sys
import types
from pathlib import Path

import pytest

from astrometry_client import config
from astrometry_client.api_key import find_api_key
from astrometry_client.errors import APIKeyError

SERVER = "https://nova.example:8443/sub"


def private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def without_astroquery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this program be one that has not loaded astroquery, whatever other tests did."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "astroquery"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict:
    """Put a different key into every place; later ones are found when the earlier are taken away."""
    key_file = private(tmp_path / "key", "fromfile\n")
    monkeypatch.setenv("ASTROMETRY_API_KEY", "fromenvironment")
    monkeypatch.setenv("AN_API_KEY", "fromoldenvironment")
    netrc = private(tmp_path / "netrc", "machine nova.example login me password fromnetrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    keyring = types.SimpleNamespace(
        get_password=lambda service, host: f"keyring{host.split('.')[0]}",
        errors=types.SimpleNamespace(KeyringError=OSError),
    )
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    private(config.config_file(), "[nova.example]\napi_key = fromconfig\n")
    astroquery = types.SimpleNamespace(conf=types.SimpleNamespace(api_key="fromastroquery"))
    monkeypatch.setitem(sys.modules, "astroquery.astrometry_net", astroquery)
    return {"key_file": key_file, "netrc": netrc}


def test_places_are_asked_in_order(places: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        find_api_key("fromargument", places["key_file"], base_url=SERVER),
        find_api_key(None, places["key_file"], base_url=SERVER),
        find_api_key(base_url=SERVER),
    ]
    for variable in ("ASTROMETRY_API_KEY", "AN_API_KEY", "NETRC"):
        monkeypatch.delenv(variable)
        found.append(find_api_key(base_url=SERVER))
    monkeypatch.setitem(sys.modules, "keyring", None)
    found.append(find_api_key(base_url=SERVER))
    config.config_file().unlink()
    found.append(find_api_key(base_url=SERVER))
    assert found == [
        "fromargument",
        "fromfile",
        "fromenvironment",
        "fromoldenvironment",
        "fromnetrc",
        "keyringnova",
        "fromconfig",
        "fromastroquery",
    ]


def test_missing_key_names_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(APIKeyError) as caught:
        find_api_key(base_url=SERVER)
    for place in (
        "api_key",
        "key_location",
        "ASTROMETRY_API_KEY",
        "AN_API_KEY",
        "netrc",
        "keyring",
        "astroquery",
    ):
        assert place in str(caught.value)
    assert str(config.config_file()) in str(caught.value)


@pytest.mark.parametrize("bad", ["", "   ", "two words", "schlüssel", "tab\tkey"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(APIKeyError) as caught:
        find_api_key(bad, base_url=SERVER)
    assert "argument api_key" in str(caught.value)
    assert not bad.strip() or bad not in str(caught.value)


def test_unreadable_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(APIKeyError, match="nowhere"):
        find_api_key(None, tmp_path / "nowhere", base_url=SERVER)


def test_key_file_others_can_read_warns(tmp_path: Path) -> None:
    path = private(tmp_path / "key", "fromfile")
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="chmod 600"):
        assert find_api_key(None, path, base_url=SERVER) == "fromfile"


def test_damaged_configuration_file_is_named() -> None:
    private(config.config_file(), "no section here")
    with pytest.raises(APIKeyError, match=r"config\.ini"):
        find_api_key(base_url=SERVER)


QUOTED = 'server = x\napi_key = "fromfile"'


@pytest.mark.parametrize("folder", [".astropy/config", "config/astropy"])
@pytest.mark.parametrize("text", ["api_key = fromfile", "api_key = 'fromfile'", QUOTED])
def test_file_of_astroquery_is_read_without_importing_it(
    private_folders: Path, folder: str, text: str
) -> None:
    private(private_folders / folder / "astroquery.cfg", f"[simbad]\nrow = 1\n\n[astrometry_net]\n{text}\n")
    assert find_api_key(base_url=SERVER) == "fromfile"
    assert "astroquery" not in sys.modules


@pytest.mark.parametrize("text", ["", "api_key = x", "[astrometry_net]\napi_key =\n", "[a]\napi_key = x\n"])
def test_file_of_astroquery_without_a_key_is_passed_over(private_folders: Path, text: str) -> None:
    private(private_folders / ".astropy/config/astroquery.cfg", text)
    with pytest.raises(APIKeyError, match="astroquery configuration"):
        find_api_key(base_url=SERVER)
