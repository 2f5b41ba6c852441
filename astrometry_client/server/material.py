"""What the result files of a job are made of."""

from pathlib import Path
from typing import Any

import attrs

from .engine import Field, ImageError
from .engine.header import read_wcs_file
from .engine.images import unpack
from .engine.source_lists import parse_list
from .engine.values import Floats
from .engine.wcs import Wcs


@attrs.frozen(kw_only=True, eq=False)
class Material:
    """What is kept of a job.

    Parameters
    ----------
    path
        The uploaded file.
    listed
        It holds the lists of sources that came instead of an image.
    wcs_file, stars, annotations
        Of the solution, if there is one; `stars` as of `Match`.
    """

    path: Path
    listed: bool
    field: Field
    wcs_file: bytes | None
    stars: Floats
    annotations: list[dict[str, Any]]

    def image(self) -> bytes | None:
        """Return the uploaded image, unpacked; None if a list of sources was uploaded."""
        if self.listed:
            return None
        data = unpack(self.path)
        return None if parse_list(data) else data

    @property
    def solution(self) -> bytes:
        """The WCS file; without one `ImageError`."""
        if self.wcs_file is None:
            raise ImageError("the image is not solved")
        return self.wcs_file

    @property
    def wcs(self) -> Wcs:
        """The solution."""
        return read_wcs_file(self.solution)[0]
