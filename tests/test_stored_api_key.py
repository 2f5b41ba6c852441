"""The API key in our configuration file."""

import pytest

from astrometry_client.api_key import find_api_key
from astrometry_client.config import config_file
from astrometry_client.errors import APIKeyError
from astrometry_client.stored_api_key import forget_api_key, store_api_key

NOVA = "https://nova.astrometry.net"
OWN = "http://127.0.0.1:8000"


def test_stored_key_is_found_and_private() -> None:
    path = store_api_key("100%mine", base_url=NOVA)
    assert path == config_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_api_key(base_url=NOVA) == "100%mine"


def test_each_server_has_a_key_of_its_own() -> None:
    store_api_key("nova", base_url=NOVA)
    store_api_key("old", base_url=OWN)
    store_api_key("own", base_url=OWN)
    assert forget_api_key(base_url=NOVA) == "nova"
    assert forget_api_key(base_url=NOVA) is None
    assert find_api_key(base_url=OWN) == "own"
    with pytest.raises(APIKeyError):
        find_api_key(base_url=NOVA)


def test_other_options_are_kept() -> None:
    config_file().parent.mkdir()
    config_file().write_text("[nova.astrometry.net]\nother = 1\n")
    store_api_key("key", base_url=NOVA)
    forget_api_key(base_url=NOVA)
    assert config_file().read_text().strip() == "[nova.astrometry.net]\nother = 1"


def test_file_others_could_read_becomes_private() -> None:
    config_file().parent.mkdir()
    config_file().write_text("")
    config_file().chmod(0o644)
    store_api_key("key", base_url=NOVA)
    assert config_file().stat().st_mode & 0o777 == 0o600


def test_link_to_the_file_stays_one() -> None:
    config_file().parent.mkdir()
    kept = config_file().with_name("kept.ini")
    config_file().symlink_to(kept)
    store_api_key("key", base_url=NOVA)
    assert config_file().is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"api_key = 1\n", b"\xff\xfe\n"])
def test_file_of_another_kind_is_left_as_it_is(damage: bytes) -> None:
    config_file().parent.mkdir()
    config_file().write_bytes(damage)
    with pytest.raises(APIKeyError, match="mend it"):
        store_api_key("key", base_url=NOVA)
    with pytest.raises(APIKeyError, match="mend it"):
        forget_api_key(base_url=NOVA)
    assert config_file().read_bytes() == damage


def test_forgetting_makes_no_file() -> None:
    assert forget_api_key(base_url=NOVA) is None
    assert not config_file().exists()
