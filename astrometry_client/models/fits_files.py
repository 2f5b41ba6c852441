"""Result files as the objects of astropy."""

import io
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, Header
    from astropy.wcs import WCS

WCS_CARD: Final = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CUNIT|CDELT|CROTA|CNAME|CRDER|CSYER)\d+|(CD|PC)(\d+_\d+|\d{6})|P[VS]\d+_\d+"
    r"|(A|B|AP|BP)_(ORDER|DMAX|\d_\d)|((CP|CQ|D2IM)(DIS|ERR)|DP|DQ)\d+(\..*)?|WAT\d_\d+|WCSDIM"
    r"|WCSAXES|WCSNAME|LONPOLE|LATPOLE|EQUINOX|EPOCH|RADESYS|RADECSYS|IMAGE[WH]"
)
"""Cards that place an image on the sky, with the distortions of SIP, TPV, TNX and lookup tables. Those of
alternate descriptions (such as `CTYPE1A`) are none of them."""


def header_of(wcs_file: bytes) -> "Header":
    """Return the header of a WCS file, which is a FITS file without data."""
    from astropy.io import fits

    return fits.Header.fromstring(wcs_file)


def wcs_of(wcs_file: bytes) -> "WCS":
    """Return the WCS in a WCS file, with its SIP distortion and the size of the image."""
    from astropy.wcs import WCS

    header = header_of(wcs_file)
    # The file has no data and says that it has no axes, which astropy warns about; its image has two.
    header["NAXIS"] = 2
    for axis, size in (("NAXIS1", "IMAGEW"), ("NAXIS2", "IMAGEH")):
        if size in header:
            header[axis] = header[size]
    return WCS(header)


def hdus_of(content: bytes) -> "HDUList":
    """Return the HDUs of a FITS file, read from memory."""
    from astropy.io import fits

    return fits.open(io.BytesIO(content))
