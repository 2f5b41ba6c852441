"""A solution in the header of the FITS file that was solved. Needs astropy."""

import contextlib
import hashlib
import math
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import attrs

from astrometry_client.errors import InputError
from astrometry_client.models.fits_files import WCS_CARD, header_of
from astrometry_client.uploads.formats import FITS_MAGIC
from astrometry_client.whole_file import writing_whole

if TYPE_CHECKING:
    from astropy.io.fits import Header

_BLOCK_BYTES: Final = 1 << 20
_STALE: Final = ("CHECKSUM",)
"""Of the header; `DATASUM` stays true, because the data stay as they are."""


@attrs.frozen(eq=False)
class _Place:
    """Where the header of the image lies in its file."""

    header: "Header"
    begin_bytes: int
    end_bytes: int


def check_place(path: Path) -> None:
    """Make sure that a file can take a solution into its header.

    Raises
    ------
    InputError
        It is not FITS, is compressed or holds no image; or astropy is not installed.
    """
    _place_in(path)


def write_in_place(path: Path, wcs_file: bytes, *, before: Callable[[str, str], None]) -> bool:
    """Put a solution into the header of a FITS image in place of any it had; return whether that was new.

    The new file is written whole beside the old one and takes its name when it is safe on the disk.
    Everything but the cards of the WCS stays as it is, byte for byte.

    Parameters
    ----------
    before
        Called with the SHA-256 of the old file and of the new one, before that takes the name.

    Raises
    ------
    InputError
        The file cannot take it (see `check_place`), or the solution is of an image of another size.
    OSError
        The file cannot be written.
    """
    path = path.resolve()
    place, solution = _place_in(path), header_of(wcs_file)
    header = _with_solution(place.header, solution, path)
    if header.tostring() == place.header.tostring():
        return False
    with path.open("rb") as old, writing_whole(path) as new:
        known, made = hashlib.sha256(), hashlib.sha256()
        _copy(old, new, place.begin_bytes, known, made)
        known.update(old.read(place.end_bytes - place.begin_bytes))
        cards = header.tostring().encode("ascii")
        new.write(cards)
        made.update(cards)
        _copy(old, new, math.inf, known, made)
        _keep_owner(old, new)
        before(known.hexdigest(), made.hexdigest())
    _sync_folder(path.parent)
    return True


def _place_in(path: Path) -> _Place:
    try:
        from astropy.io import fits
    except ImportError as missing:
        raise InputError(
            f"Solving in place needs {missing.name}: pip install 'astrometry-client[wcs]'."
        ) from missing
    try:
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            if file.read(len(FITS_MAGIC)) != FITS_MAGIC:
                raise InputError(f"{path} cannot be solved in place: it is not FITS, or compressed.")
            file.seek(0)
            with fits.open(file, memmap=False, disable_image_compression=True) as hdus:
                plain = (hdu for hdu in hdus if isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU))
                at = next((hdu.fileinfo() for hdu in plain if hdu.header["NAXIS"] >= 2), None)
                if at is None:
                    raise InputError(f"{path} holds no image, or a compressed one: unpack it with funpack.")
                file.seek(at["hdrLoc"])
                return _Place(fits.Header.fromfile(file), at["hdrLoc"], at["datLoc"])
    except (OSError, fits.VerifyError, KeyError, TypeError) as cause:
        raise InputError(f"{path} is damaged and cannot be solved in place ({cause}).") from cause


def _with_solution(old: "Header", solution: "Header", path: Path) -> "Header":
    size = (old["NAXIS1"], old["NAXIS2"])
    solved = (solution.get("IMAGEW", size[0]), solution.get("IMAGEH", size[1]))
    if size != solved:
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels, its solution {solved[0]} x {solved[1]}: it changed."
        )
    new = old.copy()
    for keyword in {name for name in old if WCS_CARD.fullmatch(name) or name in _STALE}:
        new.remove(keyword, remove_all=True)
    cards = [card for card in solution.cards if WCS_CARD.fullmatch(card.keyword)]
    new.extend(cards, unique=False, update=False, end=True)
    return new


def _copy(old: IO[bytes], new: IO[bytes], size_bytes: float, *digests: "hashlib._Hash") -> None:
    """Copy the next bytes, all that are left if there are fewer."""
    while block := old.read(int(min(size_bytes, _BLOCK_BYTES))):
        size_bytes -= len(block)
        new.write(block)
        for digest in digests:
            digest.update(block)


def _keep_owner(old: IO[bytes], new: IO[bytes]) -> None:
    status = os.fstat(old.fileno())
    with contextlib.suppress(PermissionError):
        os.fchown(new.fileno(), status.st_uid, status.st_gid)
    os.fchmod(new.fileno(), stat.S_IMODE(status.st_mode))


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; systems that cannot open folders do so by themselves."""
    with contextlib.suppress(PermissionError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
