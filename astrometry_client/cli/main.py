"""The group of commands, and the one place where an error becomes a line and an exit code."""

import logging
import sys
import warnings
from importlib import import_module
from typing import Any, Final

import click

from astrometry_client.cli.exit_codes import exit_code, message, table
from astrometry_client.cli.telling import tell
from astrometry_client.errors import AstrometryError

_EPILOG = f"\b\nExit codes:\n{table()}"

_MODULES: Final = {
    "cache": "cache",
    "demo": "demo",
    "doctor": "doctor",
    "export": "ledger",
    "index": "index",
    "login": "login",
    "logout": "login",
    "results": "ledger",
    "resume": "resume",
    "serve": "serve",
    "solve": "solve",
    "status": "ledger",
    "whoami": "login",
}
"""The commands, each with the module it is in; one that is not asked for is not imported."""


class _Commands(click.Group):
    """Finds the commands, and turns our errors into one line on standard error and their exit code."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"astrometry_client.cli.{_MODULES[name]}"), name)
        return command

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


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="astrometry-client")
@click.option("-v", "--verbose", count=True, help="Log requests; twice for their details. Never holds a key.")
def main(verbose: int) -> None:
    """Plate-solve images with an Astrometry.net server: nova, your own, or one started on the spot."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    warnings.showwarning = _tell_warning
    form = "%(levelname)s %(name)s: %(message)s" if verbose else "astrometry-client: %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[_ToStandardError()])
