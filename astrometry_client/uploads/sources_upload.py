"""Positions of sources, found by the user, in place of an image."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs

from astrometry_client import api
from astrometry_client.errors import InputError
from astrometry_client.login import Session
from astrometry_client.models import Settings, UploadReceipt
from astrometry_client.request import SessionRequest
from astrometry_client.uploads.upload import Upload

MOST_SOURCES: Final = 1000
"""The solver looks at no more. Source: recorded exchanges with the server (2026-11)."""


@attrs.frozen(init=False, eq=False)
class SourcesUpload(Upload):
    """Positions of sources in an image that stays here.

    Parameters
    ----------
    x, y
        Pixel positions, finite and equally many, brightest first unless `flux` is given; or an astropy
        `Table` as `x` alone. At most 1000, unless `flux` says which are the brightest.
    columns
        The columns of x and y in the table.
    flux
        Brightness of each source, in any unit that grows with it, or the name of its column. The sources are
        sent by it, the 1000 brightest alone.
    origin
        What the centre of the first pixel is called: 1 as in FITS and SExtractor, 0 as in numpy and
        photutils. The server counts from 1, and so does all that comes back.
    image_width_px, image_height_px
        Size of the image, at least 1, here or in `settings`.
    name
        What the sources are called in results.
    session, settings
        See `FileUpload`.

    Raises
    ------
    InputError
        A position is no finite number, or there are none, too many or not equally many of them, or the size
        of the image is missing.
    """

    x: tuple[float, ...] = attrs.field(repr=False)
    """Sent to the server: first pixel 1."""
    y: tuple[float, ...] = attrs.field(repr=False)
    name: str

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        columns: tuple[str, str] = ("x", "y"),
        flux: Any = None,
        origin: Literal[0, 1] = 1,
        image_width_px: int | None = None,
        image_height_px: int | None = None,
        name: str = "sources",
        session: Session | None = None,
        settings: Settings | None = None,
    ) -> None:
        if y is None:
            x, y, flux = _from_table(x, columns, flux)
        if origin not in (0, 1):
            raise InputError(
                f"origin={origin!r} is not allowed: give 0 or 1, what the first pixel is called."
            )
        positions = list(zip(*_columns(x=x, y=y, flux=flux), strict=True))
        if flux is not None:
            positions.sort(key=lambda row: -row[2])
        elif len(positions) > MOST_SOURCES:
            raise InputError(
                f"x has {len(positions)} positions: the solver takes {MOST_SOURCES}; give them brightest "
                "first and cut the list, or give flux= and the brightest are sent."
            )
        first = 1 - origin
        self.__attrs_init__(
            x=tuple(row[0] + first for row in positions[:MOST_SOURCES]),
            y=tuple(row[1] + first for row in positions[:MOST_SOURCES]),
            name=name,
            session=session,
            settings=_sized(settings or Settings(), image_width_px, image_height_px),
        )

    @property
    def top_down(self) -> bool:
        """Rows are counted upwards."""
        return False

    def request(self, *, mark: str = "") -> SessionRequest[UploadReceipt]:  # noqa: ARG002  no file, no name
        """Return the request that uploads the positions."""
        return api.upload(self.session, payload={**self.settings.payload(), "x": self.x, "y": self.y})

    def content_sha256(self) -> str:
        """Return the SHA-256 of the positions; see `Upload.content_sha256`."""
        return hashlib.sha256(json.dumps([self.x, self.y]).encode()).hexdigest()


def _from_table(table: Any, columns: tuple[str, str], flux: Any) -> tuple[Any, Any, Any]:
    if not hasattr(table, "colnames"):
        raise InputError("y=None is not allowed: give x and y, or an astropy Table as x.")
    wanted = [*columns, *([flux] if isinstance(flux, str) else [])]
    missing = [name for name in wanted if name not in table.colnames]
    if missing:
        raise InputError(
            f"The table has no column {', '.join(map(repr, missing))}: give columns= (and flux=) out of "
            f"{', '.join(table.colnames)}."
        )
    x, y, *named_flux = (table[name] for name in wanted)
    return x, y, named_flux[0] if named_flux else flux


def _columns(**given: Any) -> list[list[float]]:
    """Return the columns that are given as numbers, equally long."""
    columns = {name: _numbers(name, values) for name, values in given.items() if values is not None}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InputError(f"The lists are not equally long ({told}): give one number of each for each source.")
    if not lengths["x"]:
        raise InputError("x and y are empty: give at least one position, better fifty.")
    return list(columns.values())


def _numbers(name: str, values: Any) -> list[float]:
    if hasattr(values, "unit") and hasattr(values, "value"):
        values = values.value
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise InputError(f"{name} is {type(values).__name__}: give a list or an array of numbers.")
    for place, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{name}[{place}]={value!r} is not allowed: give a finite number.")
    return [float(value) for value in values]


def _sized(settings: Settings, width_px: int | None, height_px: int | None) -> Settings:
    if width_px is not None or height_px is not None:
        settings = attrs.evolve(settings, image_width_px=width_px, image_height_px=height_px)
    if settings.image_width_px is None:
        raise InputError(
            "image_width_px=None is not allowed: give image_width_px and image_height_px, the size of the "
            "image the sources are from."
        )
    return settings
