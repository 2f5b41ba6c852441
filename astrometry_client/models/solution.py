"""What a solve ends with."""

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from astrometry_client.models.fits_files import header_of
from astrometry_client.models.replies import Calibration
from astrometry_client.whole_file import write_whole

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS


@attrs.frozen(kw_only=True)
class Solution:
    """A solved image: its ids on the server, its calibration and its WCS."""

    name: str
    """Name of the file that was solved."""
    server: str
    submission_id: int | None
    """`None` if the reply to the upload got lost, and only its job was found again."""
    job_id: int
    calibration: Calibration
    wcs_file: bytes = attrs.field(repr=False)
    """The WCS as a FITS file without data."""

    def header(self) -> "Header":
        """Return the WCS as an astropy header. Needs astropy."""
        return header_of(self.wcs_file)

    def wcs(self) -> "WCS":
        """Return the WCS, distortion included, as an astropy WCS. Needs astropy."""
        from astropy.wcs import WCS

        header = self.header()
        # A file without data has no axes, and astropy warns that its WCS has two.
        del header["NAXIS"]
        wcs = WCS(header)
        wcs.pixel_shape = (header["IMAGEW"], header["IMAGEH"])
        return wcs

    def write_wcs(self, path: Path) -> Path:
        """Write the WCS as a FITS file, whole or not at all, and return its path."""
        return write_whole(path, self.wcs_file)
