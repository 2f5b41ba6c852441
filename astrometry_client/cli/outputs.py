"""Where results land."""

from pathlib import Path

import attrs

from astrometry_client.errors import InputError


@attrs.frozen(kw_only=True)
class Outputs:
    """The files a solve leaves behind.

    Parameters
    ----------
    image
        The image that is solved.
    wcs, picture
        Where the WCS and the picture with the named stars go; no picture if `None`.
    """

    image: Path
    wcs: Path
    picture: Path | None

    @classmethod
    def beside(cls, image: Path, *, wcs: Path | None = None, picture: bool = False) -> "Outputs":
        """Return outputs that lie beside the image and bear its name."""
        return cls(
            image=image,
            wcs=wcs or image.with_suffix(".wcs"),
            picture=image.with_suffix(".stars.png") if picture else None,
        )

    def check(self, *, overwrite: bool) -> None:
        """Raise `InputError` if a file could not be written, or would replace another."""
        for path in filter(None, (self.wcs, self.picture)):
            if not path.parent.is_dir():
                raise InputError(f"{path.parent} is not a folder: make it, or name another with --wcs.")
            if path.exists() and not overwrite:
                raise InputError(
                    f"{path} exists: give --overwrite to replace it, or another name with --wcs."
                )
