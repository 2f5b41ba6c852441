"""An image the server fetches by itself."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

import attrs

from astrometry_client import api
from astrometry_client.errors import InputError
from astrometry_client.models import UploadReceipt
from astrometry_client.request import SessionRequest
from astrometry_client.uploads.upload import Upload

_LONGEST = 2000
"""Characters; the server takes longer ones and fails on them later."""


def _fetchable(_: object, attribute: "attrs.Attribute[Any]", url: Any) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        known = parts is not None and parts.scheme in {"http", "https", "ftp"} and bool(parts.hostname)
    except ValueError:
        known = False
    if not known or any(char.isspace() for char in url) or len(url) > _LONGEST:
        raise InputError(
            f"{attribute.name}={url!r:.200} is not allowed: give an http, https or ftp address of at most "
            f"{_LONGEST} characters."
        )


@attrs.frozen(eq=False)
class URLUpload(Upload):
    """An image on the web, which the server fetches by itself.

    Parameters
    ----------
    url
        Address of the image: http, https or ftp. The server looks at it only later; if it cannot fetch it,
        the submission fails.
    session, settings
        See `FileUpload`.

    Raises
    ------
    InputError
        The address cannot be one.
    """

    url: str = attrs.field(validator=_fetchable)

    @property
    def name(self) -> str:
        """What the image is called in results: the last part of the address."""
        return urlsplit(self.url).path.rstrip("/").rpartition("/")[2] or self.url

    def request(self, *, mark: str = "") -> SessionRequest[UploadReceipt]:  # noqa: ARG002  no file, no name
        """Return the request that tells the server the address."""
        return api.url_upload(self.session, payload={**self.settings.payload(), "url": self.url})

    def content_sha256(self) -> str:
        """Return the SHA-256 of the address: what the server finds there is not known."""
        return hashlib.sha256(self.url.encode()).hexdigest()
