"""Addresses the server fetches images from."""

from typing import Any

import pytest
from small_nova import SmallNova

from astrometry_client import Session, Settings, URLUpload
from astrometry_client.errors import InputError


def test_address_travels_inside_the_json() -> None:
    with SmallNova() as server:
        upload = URLUpload(
            "https://example.org/m31.jpg?x=1",
            session=Session("key", base_url=server.url),
            settings=Settings(publicly_visible="n"),
        )
        assert upload.submit().id == 1
        assert upload.name == "m31.jpg"
        assert server.arrivals[-1].path == "/api/url_upload"
        assert server.uploads[0].options == {
            "session": "sessionkey",
            "publicly_visible": "n",
            "url": "https://example.org/m31.jpg?x=1",
        }


def test_address_without_a_path_is_its_own_name() -> None:
    assert URLUpload("ftp://example.org/").name == "ftp://example.org/"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org/a.jpg",
        "file:///etc/passwd",
        "http://",
        "http://a b/c",
        "https://[::1",
        5,
        None,
        b"http://a",
    ],
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(InputError, match="url="):
        URLUpload(url)


def test_endless_address_is_refused_briefly() -> None:
    with pytest.raises(InputError) as caught:
        URLUpload("http://example.org/" + "a" * 5000)
    assert len(str(caught.value)) < 400
