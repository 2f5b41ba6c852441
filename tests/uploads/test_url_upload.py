"""Addresses the server fetches images from."""

from typing import Any

import pytest

from astrometry_client import Session, Settings, URLUpload
from astrometry_client.errors import InputError
from astrometry_client.testing import NovaServer


def test_address_travels_inside_the_json(nova_server: NovaServer) -> None:
    upload = URLUpload(
        "https://example.org/m31.jpg?x=1",
        session=Session(base_url=nova_server.url),
        settings=Settings(publicly_visible="n"),
    )
    assert upload.submit().id == 1
    assert upload.name == "m31.jpg"
    assert nova_server.requests[-1].path == "/api/url_upload"
    assert nova_server.uploads[0].options == {
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
