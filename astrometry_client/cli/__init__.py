"""The command `astrometry-client`."""

from astrometry_client.cli.main import main

__all__ = ["main"]
