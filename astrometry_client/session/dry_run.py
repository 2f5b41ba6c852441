"""Answers without a server: a whole pipeline runs to its end, and nothing is touched."""

import itertools
import json
import logging
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from astrometry_client.session.endpoints import Kind, endpoint_of, ids_in
from astrometry_client.session.timeouts import WRITE_METHODS

__all__ = ["MockResponse", "dry_answer", "is_dry_id", "is_dry_run_enabled"]

logger = logging.getLogger(__name__)

_OFF: Final = frozenset({"", "0", "false", "n", "no", "none", "off"})

_FIRST_ID: Final = 9_000_000_000_000
"""Ids of a dry run start here, far above any a server gave out, so that they are known again."""

_ids = itertools.count(_FIRST_ID)


def is_dry_run_enabled(method: str, override: object = None) -> bool:
    """Return whether a request of this method is answered here and not sent.

    Parameters
    ----------
    method
        HTTP method.
    override
        `True` or `False` decides. A session decides by its own `dry_run`. `None` leaves it to
        `DRY_RUN_ENABLED` (all requests) and `DRY_RUN_WRITE_ONLY` (uploads, logins and other writes);
        unset, empty, `0`, `false`, `no`, `none` and `off` mean no.
    """
    choice = override if isinstance(override, bool) else getattr(override, "dry_run", None)
    if choice is not None:
        return bool(choice)
    return _is_on("DRY_RUN_ENABLED") or (method.upper() in WRITE_METHODS and _is_on("DRY_RUN_WRITE_ONLY"))


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in _OFF


class MockResponse(requests.Response):
    """A reply that no server gave.

    Parameters
    ----------
    request
        The request it answers.
    content
        The body.
    content_type
        Its kind; nova sends JSON as `text/plain`.
    status_code, reason
        The status line.
    """

    from_cache = False

    def __init__(
        self,
        request: requests.PreparedRequest | None = None,
        *,
        content: bytes = b"{}",
        content_type: str = "text/plain",
        status_code: int = 200,
        reason: str = "DRY_RUN",
    ) -> None:
        super().__init__()
        self.request = request or requests.PreparedRequest()
        self.url = self.request.url or ""
        self.status_code = status_code
        self.reason = reason
        self.encoding = "utf-8"
        self.headers = CaseInsensitiveDict(
            {"Content-Type": content_type, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
        )
        self._content = content
        self._content_consumed = True


def dry_answer(request: requests.PreparedRequest) -> MockResponse:
    """Return what a server would answer if all went well, and log what it would have been sent."""
    path = urlsplit(request.url or "").path
    size_bytes = request.headers.get("Content-Length", "0")
    logger.info("Dry run: %s %s, %s bytes, not sent", request.method, path, size_bytes)
    endpoint = endpoint_of(request.url)
    if endpoint.kind is Kind.FITS:
        content = _fits(_NEW_FITS if endpoint.name == "new_fits_file" else _WCS)
        return MockResponse(request, content=content, content_type="application/fits")
    if endpoint.kind is Kind.IMAGE:
        return MockResponse(request, content=_black_pixel(), content_type="image/png")
    if endpoint.kind is Kind.TEXT:
        return MockResponse(request, content=b"Dry run.\n")
    document = _DOCUMENTS.get(endpoint.name, _nothing)(next(iter(ids_in(request.url).values()), _FIRST_ID))
    return MockResponse(request, content=json.dumps(document).encode())


def is_dry_id(url: str | None) -> bool:
    """Return whether a URL asks for a submission or job that only a dry run made."""
    return any(number >= _FIRST_ID for number in ids_in(url).values())


_CENTRE: Final = {
    "ra": 83.633,
    "dec": 22.0145,
    "radius": 0.7071,
    "pixscale": 3.6,
    "orientation": 0.0,
    "parity": -1.0,
}
_TIME: Final = "2000-01-01 12:00:00.000000"

Document = dict[str, Any]


def _nothing(_number: int) -> Document:
    return {"status": "success"}


def _receipt(_number: int) -> Document:
    return {"status": "success", "subid": next(_ids), "hash": "0" * 40}


def _submission(number: int) -> Document:
    """Return a submission whose only job has its own number and is solved."""
    return {
        "user": 1,
        "processing_started": _TIME,
        "processing_finished": _TIME,
        "user_images": [number],
        "images": [number],
        "jobs": [number],
        "job_calibrations": [[number, number]],
    }


def _info(_number: int) -> Document:
    return {
        "status": "success",
        "original_filename": "dry-run",
        "tags": [],
        "machine_tags": [],
        "objects_in_field": [],
        "calibration": _CENTRE,
    }


_DOCUMENTS: Final[dict[str, Callable[[int], Document]]] = {
    "login": lambda _: {"status": "success", "message": "authenticated user: dry-run", "session": "dry-run"},
    "upload": _receipt,
    "url_upload": _receipt,
    "submission": _submission,
    "submission_images": lambda number: {"status": "success", "image_ids": [number]},
    "myjobs": lambda _: {"status": "success", "jobs": []},
    "jobs_by_tag": lambda _: {"job_ids": []},
    "calibration": lambda _: {**_CENTRE, "width_arcsec": 3600.0, "height_arcsec": 3600.0},
    "annotations": lambda _: {"annotations": []},
    "info": _info,
    "tags": lambda _: {"tags": []},
    "machine_tags": lambda _: {"tags": []},
    "objects_in_field": lambda _: {"objects_in_field": []},
}

Cards = dict[str, bool | int | float | str]

_SKY: Final[Cards] = {
    "WCSAXES": 2,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "EQUINOX": 2000.0,
    "LONPOLE": 180.0,
    "LATPOLE": 0.0,
    "CRVAL1": 83.633,
    "CRVAL2": 22.0145,
    "CRPIX1": 500.5,
    "CRPIX2": 500.5,
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CD1_1": -0.001,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 0.001,
    "IMAGEW": 1000,
    "IMAGEH": 1000,
    "OBJECT": "DRY RUN",
}
_WCS: Final[Cards] = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, **_SKY}
_NEW_FITS: Final[Cards] = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 2, "NAXIS1": 1, "NAXIS2": 1, **_SKY}

_BLOCK_BYTES: Final = 2880


def _fits(cards: Cards) -> bytes:
    """Return a FITS file of these cards, with zeros for its data. Source: FITS standard 4.0, section 4."""
    header = "".join(_card(name, value) for name, value in cards.items()) + "END"
    header = header.ljust(-(-len(header) // _BLOCK_BYTES) * _BLOCK_BYTES)
    return header.encode() + (bytes(_BLOCK_BYTES) if cards["NAXIS"] else b"")


def _card(name: str, value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        shown = f"{'FT'[value]:>20}"
    else:
        shown = f"'{value:<8}'" if isinstance(value, str) else f"{value!r:>20}"
    return f"{name:<8}= {shown}".ljust(80)


def _black_pixel() -> bytes:
    """Return a PNG of one black pixel. Source: PNG specification, third edition, section 11."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b""))
    )
