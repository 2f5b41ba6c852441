"""What a worker process does, done from a table: read submissions, solve jobs, make result files."""

import base64
import io
import json
import math
import os
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import attrs

from astrometry_client.server.archive import ArchiveError, is_archive, unpack
from astrometry_client.server.files import FileStore
from astrometry_client.server.options import LISTED, URL
from astrometry_client.server.settings import ServerSettings
from astrometry_client.server.tasks import FoundImage, MakeTask, ReadTask, SolveTask

from .table_engine import Place, Rejected, TableEngine

Json = dict[str, Any]

SIZE_PX = (1000, 1000)
"""Width and height of what is no picture; a test may upload any bytes."""

PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8")
"""How files of pictures begin."""

DAMAGED = (SyntaxError, ValueError)
"""What PIL raises for damaged pictures, beside `OSError`."""

STARS = 12
"""Stars of each made-up solution."""

NO_FILE = 'no file came with the upload: it belongs into the form as "file"'


@attrs.frozen
class TableSolver:
    """Answers the tasks of a worker as `TableEngine` says; nothing is fetched from a URL."""

    engine: TableEngine
    files: FileStore
    settings: ServerSettings

    def read(self, task: ReadTask) -> Json:
        """Return the images found in a submission, or why there are none."""
        try:
            return {"images": [attrs.asdict(image) for image in self._images(task)]}
        except (ArchiveError, _RejectedFile) as error:
            return {"reason": str(error)}

    def solve(self, task: SolveTask) -> Json:
        """Return the solution of an image, or why there is none."""
        image = _Image(**json.loads(task.field))
        outcome = self.engine.outcome(image.name, self.files.path(task.sha1).read_bytes())
        if not isinstance(outcome, Place):
            return {"reason": "no match was found"}
        crossed = _crossed(outcome, image)
        return {
            "calibration": _calibration(outcome, image),
            "annotations": [_annotation(name, image) for name in outcome.objects],
            "wcs": base64.b64encode(_wcs_file(outcome, crossed, image)).decode(),
            "stars": [[x, y, *_to_sky(outcome, crossed, image, x, y)] for x, y in _sources(image)],
        }

    def make(self, task: MakeTask) -> Json:
        """Return the path of a result file made anew, or why it cannot be made."""
        import numpy as np

        from astrometry_client.server.engine import Field, ImageError
        from astrometry_client.server.material import Material
        from astrometry_client.server.products import PRODUCTS

        image = _Image(**json.loads(task.field))
        x, y = np.array(_sources(image), dtype=np.float64).T
        field = Field(
            width_px=image.width_px,
            height_px=image.height_px,
            x=x,
            y=y,
            flux=np.linspace(9.0, 1.0, len(x)),
            top_down=image.top_down,
        )
        material = Material(
            path=self.files.path(task.sha1) if image.is_picture else self._blank(image),
            listed=bool(task.options.get(LISTED)),
            field=field,
            wcs_file=None if task.wcs is None else base64.b64decode(task.wcs),
            stars=np.array(task.stars, dtype=np.float64).reshape(-1, 4),
            annotations=task.annotations,
        )
        try:
            content = PRODUCTS[task.product](material)
        except (ImageError, OSError, *DAMAGED) as error:
            return {"reason": str(error)}
        handle, name = tempfile.mkstemp(dir=self.settings.made_dir)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return {"made": name}

    def _images(self, task: ReadTask) -> list[FoundImage]:
        if URL in task.options:
            return [self._found(self.files.store(b"").sha1, task.filename, task.options)]
        if task.sha1 is None:
            raise _RejectedFile(NO_FILE)
        path = self.files.path(task.sha1)
        if task.options.get(LISTED) or not is_archive(path):
            return [self._found(task.sha1, task.filename, task.options)]
        members = unpack(path, store=self.files, settings=self.settings)
        return [self._found(stored.sha1, name, task.options) for name, stored in members]

    def _found(self, sha1: str, name: str, options: Json) -> FoundImage:
        content = self.files.path(sha1).read_bytes()
        outcome = self.engine.outcome(name, content)
        if isinstance(outcome, Rejected):
            raise _RejectedFile(outcome.message)
        return FoundImage(sha1, name, json.dumps(attrs.asdict(_image(name, content, options))))

    def _blank(self, image: "_Image") -> Path:
        """Return a picture without a star, in place of a file that holds none."""
        from PIL import Image

        picture = io.BytesIO()
        Image.new("L", (image.width_px, image.height_px)).save(picture, "PNG")
        return self.files.path(self.files.store(picture.getvalue()).sha1)


class _RejectedFile(Exception):
    """The submission ends with this message."""


@attrs.frozen
class _Image:
    """What is known of an image without looking at its pixels."""

    name: str
    width_px: int
    height_px: int
    is_picture: bool
    top_down: bool


def _image(name: str, content: bytes, options: Json) -> _Image:
    own = _fits_size(content) if content.startswith(b"SIMPLE  =") else _picture_size(content)
    given = (options.get("image_width"), options.get("image_height"))
    width, height = (a or b or c for a, b, c in zip(own, given, SIZE_PX, strict=True))
    top_down = all(own) and content.startswith(PICTURES)
    return _Image(name, width, height, is_picture=all(own), top_down=top_down)


def _fits_size(content: bytes) -> tuple[int | None, int | None]:
    found = (re.search(rb"NAXIS%d *= *(\d+)" % axis, content[:28800]) for axis in (1, 2))
    width, height = (int(match[1]) if match else None for match in found)
    return width, height


def _picture_size(content: bytes) -> tuple[int | None, int | None]:
    if not content.startswith(PICTURES):
        return None, None
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.size
    except (OSError, *DAMAGED):
        return None, None


def _sources(image: _Image) -> list[tuple[float, float]]:
    """Return the pixels of the made-up stars, the same for images of the same name."""
    chance = random.Random(image.name)  # noqa: S311
    return [
        (1 + chance.random() * (image.width_px - 1), 1 + chance.random() * (image.height_px - 1))
        for _ in range(STARS)
    ]


def _crossed(place: Place, image: _Image) -> tuple[float, float, float, float]:
    """Return the CD matrix, degrees per pixel, row by row; the inverse of what `header.calibration` does."""
    angle = 180.0 - place.orientation_deg if image.top_down else place.orientation_deg
    scale, turned = place.pixel_scale_arcsec / 3600.0, math.radians(angle)
    along, across = scale * math.cos(turned), scale * math.sin(turned)
    return place.parity * along, across, -place.parity * across, along


def _to_sky(
    place: Place, crossed: tuple[float, float, float, float], image: _Image, x: float, y: float
) -> tuple[float, float]:
    """Return right ascension and declination of a pixel, degrees."""
    u, v = x - (image.width_px / 2 + 0.5), y - (image.height_px / 2 + 0.5)
    xi = math.radians(crossed[0] * u + crossed[1] * v)
    eta = math.radians(crossed[2] * u + crossed[3] * v)
    dec0 = math.radians(place.dec_deg)
    depth = math.cos(dec0) - eta * math.sin(dec0)
    ra = place.ra_deg + math.degrees(math.atan2(xi, depth))
    dec = math.atan2(math.sin(dec0) + eta * math.cos(dec0), math.hypot(xi, depth))
    return ra % 360.0, math.degrees(dec)


def _calibration(place: Place, image: _Image) -> dict[str, float]:
    scale = place.pixel_scale_arcsec
    return {
        "ra": place.ra_deg,
        "dec": place.dec_deg,
        "width_arcsec": image.width_px * scale,
        "height_arcsec": image.height_px * scale,
        "radius": scale * math.hypot(image.width_px, image.height_px) / 7200.0,
        "pixscale": scale,
        "orientation": place.orientation_deg % 360.0 if image.top_down else place.orientation_deg,
        "parity": float(place.parity),
    }


def _annotation(name: str, image: _Image) -> Json:
    middle = {"pixelx": image.width_px / 2, "pixely": image.height_px / 2}
    return {"type": "ngc", "names": [name], **middle, "radius": min(image.width_px, image.height_px) / 8}


def _wcs_file(place: Place, crossed: tuple[float, float, float, float], image: _Image) -> bytes:
    """Return the header-only FITS file of a plain TAN solution; astropy's `Header` is far too slow here."""
    numbers = {
        "EQUINOX": 2000.0,
        "LONPOLE": 180.0,
        "LATPOLE": 0.0,
        "CRVAL1": float(place.ra_deg),
        "CRVAL2": float(place.dec_deg),
        "CRPIX1": image.width_px / 2 + 0.5,
        "CRPIX2": image.height_px / 2 + 0.5,
        **dict(zip(("CD1_1", "CD1_2", "CD2_1", "CD2_2"), crossed, strict=True)),
        "IMAGEW": image.width_px,
        "IMAGEH": image.height_px,
    }
    words = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
    cards = [
        *(f"{name:<8}= {value:>20}" for name, value in (("SIMPLE", "T"), ("BITPIX", 8), ("NAXIS", 0))),
        f"{'WCSAXES':<8}= {2:>20}",
        *(f"{name:<8}= '{word:<8}'" for name, word in words.items()),
        *(f"{name:<8}= {str(value).upper():>20}" for name, value in numbers.items()),
        "COMMENT made up for a test",
        "END",
    ]
    text = "".join(card.ljust(80) for card in cards)
    return text.ljust(-(-len(text) // 2880) * 2880).encode("ascii")
