"""The options of an upload as options of the command."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

import click

from astrometry_client.models import Settings
from astrometry_client.models.settings import Parity, ScaleUnits

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("scale_units", click.Choice(get_args(ScaleUnits)), "What the scale numbers mean."),
    ("scale_lower", float, "Lower end of the scale."),
    ("scale_upper", float, "Upper end of the scale."),
    ("scale_est", float, "Estimate of the scale, instead of a range."),
    ("scale_err_percent", float, "Error of the estimate."),
    ("center_ra_deg", float, "Right ascension of about the centre."),
    ("center_dec_deg", float, "Declination of about the centre."),
    ("radius_deg", float, "How far the centre may be from there."),
    ("downsample_factor", float, "Shrink the image by this before looking for stars."),
    ("tweak_order", int, "Order of the distortion; 0 is none."),
    ("parity", int, f"One of {', '.join(map(str, get_args(Parity)))}: as seen, mirrored, both."),
    ("publicly_visible", click.Choice(["y", "n"]), "Whether others may see the image on the site."),
)


def settings_options(command: F) -> F:
    """Add the options of an upload; the command receives them as keywords, `None` where not given."""
    for name, kind, words in reversed(_OPTIONS):
        command = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=words)(command)
    return command


def settings_from(options: dict[str, Any]) -> Settings:
    """Return the settings among a command's keywords."""
    return Settings(**{name: options[name] for name, _, _ in _OPTIONS})
