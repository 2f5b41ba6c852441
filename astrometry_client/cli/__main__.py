"""`python -m astrometry_client.cli` is the command too."""

from astrometry_client.cli import main

main(prog_name="astrometry-client")
