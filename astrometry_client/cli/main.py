"""The group of commands, and the one place where an error becomes a line and an exit code."""

import logging
import sys
import warnings
from typing import Any

import click

from astrometry_client.cli.cache import cache
from astrometry_client.cli.demo import demo
from astrometry_client.cli.doctor import doctor
from astrometry_client.cli.exit_codes import exit_code, message, table
from astrometry_client.cli.index import index
from astrometry_client.cli.ledger import export, results, status
from astrometry_client.cli.login import login, logout, whoami
from astrometry_client.cli.progress import tell
from astrometry_client.cli.resume import resume
from astrometry_client.cli.serve import serve
from astrometry_client.cli.solve import solve
from astrometry_client.errors import AstrometryError

_EPILOG = f"\b\nExit codes:\n{table()}"


class _OneLineErrors(click.Group):
    """Turns our errors into one line on standard error and their exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # who reads has seen enough: click ends quietly
        except (AstrometryError, OSError, KeyboardInterrupt) as error:
            logging.getLogger(__name__).debug("Failed", exc_info=True)
            click.echo(f"astrometry-client: {message(error)}", err=True)
            sys.exit(exit_code(error))


class _ToStandardError(logging.Handler):
    """Tells the user."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(self.format(record))


def _tell_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Tell a warning as what it says; where in the code it was given helps no user."""
    tell(f"astrometry-client: {message}")


@click.group(cls=_OneLineErrors, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="astrometry-client")
@click.option("-v", "--verbose", count=True, help="Log requests; twice for their details. Never holds a key.")
def main(verbose: int) -> None:
    """Plate-solve images with an Astrometry.net server: nova, your own, or one started on the spot."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    warnings.showwarning = _tell_warning
    form = "%(levelname)s %(name)s: %(message)s" if verbose else "astrometry-client: %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[_ToStandardError()])


for command in (
    solve,
    resume,
    status,
    results,
    export,
    serve,
    demo,
    login,
    logout,
    whoami,
    cache,
    index,
    doctor,
):
    main.add_command(command)
