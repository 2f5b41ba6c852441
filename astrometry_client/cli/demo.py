"""`astrometry-client demo`: a real image of the sky solved from nothing."""

from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from astrometry_client.cli.asking import solved_by
from astrometry_client.cli.clients import local_client
from astrometry_client.cli.solve_one import solve_one
from astrometry_client.errors import InputError
from astrometry_client.results import Landing, result_names
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
    image, example = folder / _IMAGE, _example_image().read_bytes()
    is_again = image.exists()
    if is_again and image.read_bytes() != example:
        raise InputError(f"{image} exists and is not the example image: name another folder with --folder.")
    write_whole(image, example)
    with local_client() as client:
        landing = Landing(
            names=result_names([image]),
            ledger=client.ledger,
            server=client.base_url,
            settings=client.settings,
            client_of=lambda _server: client,
            extras=("picture",),
            overwrite=is_again,
        )
        solve_one(image, partial(solved_by, client), landing)


def _example_image() -> Path:
    """Return the example image: inside an installed package, or in the checkout beside it."""
    package = Path(str(files("astrometry_client")))
    places = (package / "examples" / _IMAGE, package.parent / "examples" / _IMAGE)
    return next((place for place in places if place.exists()), places[0])
