"""An engine that solves nothing: a table says where each image lies."""

import hashlib
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import attrs

__all__ = ["UNSOLVED", "Place", "Rejected", "TableEngine", "Unsolved", "place_of", "plain_name"]

_MARK = re.compile(r"\.[0-9a-f]{8}(?=(\.[^.]*)?$)")


@attrs.frozen
class Place:
    """Where an image lies on the sky.

    Parameters
    ----------
    ra_deg, dec_deg
        Its centre, J2000.
    pixel_scale_arcsec
        Arcsec per pixel.
    orientation_deg
        Direction of growing y, from north towards east; as the server says it, pictures drawn from the
        top count the other way round.
    parity
        1 for a mirrored sky, -1 for one seen as from the ground.
    objects
        Names of what is in the image.
    """

    ra_deg: float
    dec_deg: float
    pixel_scale_arcsec: float = attrs.field(default=2.0, kw_only=True)
    orientation_deg: float = attrs.field(default=0.0, kw_only=True)
    parity: int = attrs.field(default=-1, kw_only=True)
    objects: tuple[str, ...] = attrs.field(default=(), kw_only=True)


@attrs.frozen
class Unsolved:
    """The image has no solution: its job fails."""


@attrs.frozen
class Rejected:
    """The file is no image: its submission ends with this message and no job."""

    message: str = "the file is not an image that can be read"


UNSOLVED = Unsolved()

Outcome = Place | Unsolved | Rejected


def plain_name(filename: str) -> str:
    """Return a file name without the mark by which this package's client finds its uploads again."""
    return _MARK.sub("", filename)


def place_of(name: str) -> Place:
    """Return where an image of this name lies unless a table says otherwise: somewhere else for each name."""
    number = int.from_bytes(hashlib.sha256(plain_name(name).encode()).digest()[:8])
    return Place(
        ra_deg=number % 360_000 / 1000,
        dec_deg=number // 360_000 % 160_001 / 1000 - 80,
        pixel_scale_arcsec=1 + number // 360_000 // 160_001 % 1000 / 1000,
        orientation_deg=float(number % 180),
    )


@attrs.frozen
class TableEngine:
    """Decides by a table what becomes of an image. It looks at no pixel and takes no notice of hints.

    Parameters
    ----------
    table
        From a file name, a pattern such as `dark*.fits`, or bytes the file contains, to a `Place`, `UNSOLVED`
        or `Rejected`. The first that fits counts.
    otherwise
        What becomes of all others, by name; by default `place_of`.
    """

    table: Mapping[str | bytes, Outcome] = attrs.field(factory=dict)
    otherwise: Callable[[str], Outcome] = place_of

    def outcome(self, name: str, content: bytes) -> Outcome:
        """Return what becomes of a file."""
        plain = plain_name(name)
        for key, outcome in self.table.items():
            if key in content if isinstance(key, bytes) else fnmatchcase(plain, key):
                return outcome
        return self.otherwise(plain)
