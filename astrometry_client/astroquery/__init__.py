"""`AstrometryNet` as astroquery has it, on our session: change one import, keep the program.

Names, keywords, defaults and return values are those of astroquery 0.4.11 (read 2026-11), and so are the
places: `astroquery.astrometry_net` and `astroquery.exceptions` have their twins here.
"""

from astrometry_client.astroquery.astrometry_net import AstrometryNet, AstrometryNetClass, conf
from astrometry_client.astroquery.exceptions import RefusedError, TimeoutError  # noqa: A004

__all__ = ["AstrometryNet", "AstrometryNetClass", "RefusedError", "TimeoutError", "conf"]
