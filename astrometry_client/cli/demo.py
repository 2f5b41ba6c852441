"""`astrometry-client demo`: a real image of the sky solved from nothing."""

from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from astrometry_client.cli.clients import local_client
from astrometry_client.cli.outputs import Outputs
from astrometry_client.cli.solve import solve_and_report
from astrometry_client.config import DEFAULTS
from astrometry_client.whole_file import write_whole

_IMAGE: Final = "orion.jpg"


@click.command
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("astrometry-demo"),
    show_default=True,
    help="Where the image, its WCS and the picture go.",
)
def demo(folder: Path) -> None:
    """Solve an example image on the embedded server: no API key, no network."""
    folder.mkdir(parents=True, exist_ok=True)
    image = write_whole(folder / _IMAGE, _example_image().read_bytes())
    with local_client() as client:
        solve_and_report(client, Outputs.beside(image, picture=True), timeout_s=DEFAULTS.solve_timeout_s)


def _example_image() -> Path:
    """Return the example image: inside an installed package, or in the checkout beside it."""
    package = Path(str(files("astrometry_client")))
    places = (package / "examples" / _IMAGE, package.parent / "examples" / _IMAGE)
    return next((place for place in places if place.exists()), places[0])
