"""Solve an image with the library.

python solve_with_the_library.py IMAGE            # nova; needs ASTROMETRY_API_KEY
python solve_with_the_library.py IMAGE --local    # the embedded server; needs nothing
"""

import sys

from astrometry_client import AstrometryError, Client, Settings
from astrometry_client.server.run import LocalServer

image = sys.argv[1]
# A rough idea of the scale makes a solve faster; nothing but the image is needed.
settings = Settings(scale_units="degwidth", scale_lower=5, scale_upper=60, publicly_visible="n")


def solve(client: Client) -> None:
    """Print where the image lies on the sky."""
    try:
        solution = client.solve(image, settings)
    except AstrometryError as error:
        sys.exit(f"{image}: {error} (submission {error.submission_id})")
    calibration = solution.calibration
    print(f"{solution.name}: RA {calibration.ra_deg:.4f}, Dec {calibration.dec_deg:+.4f} degrees")
    print(f"{calibration.pixel_scale_arcsec:.3f} arcsec per pixel")
    print(solution.wcs().pixel_to_world(0, 0).to_string("hmsdms", precision=1))


if "--local" in sys.argv:
    with LocalServer() as server, Client(server.api_key, base_url=server.url) as client:
        solve(client)
else:
    with Client() as client:
        solve(client)
