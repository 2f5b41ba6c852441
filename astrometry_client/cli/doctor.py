"""`astrometry-client doctor`: what is there, what is not, and what to do about it."""

import json
import sys
from pathlib import Path
from typing import Final

import attrs
import click

from astrometry_client.cli.health import findings
from astrometry_client.cli.options import index_dirs_option, json_option
from astrometry_client.config import DEFAULTS

_SIGNS: Final = {"well": "ok  ", "note": "note", "problem": "BAD "}


@click.command
@click.option("--nova", is_flag=True, help="Ask nova, too: one request, without a login.")
@click.option("--server", "servers", metavar="URL", multiple=True, help="A server to ask; may be repeated.")
@index_dirs_option
@json_option
def doctor(servers: tuple[str, ...], index_dirs: tuple[Path, ...], *, nova: bool, as_json: bool) -> None:
    """Look at what is installed, the index files, the files of this package, the API key, and servers.

    Nothing is changed, and no server is asked unless told. Exit code 1 if something needs mending.
    """
    asked = [*servers, *([DEFAULTS.base_url] if nova else [])]
    key_server = servers[0] if servers else DEFAULTS.base_url
    found = []
    for finding in findings(index_folders=index_dirs, key_server=key_server, servers=asked):
        found.append(finding)
        if not as_json:
            click.echo(f"{_SIGNS[finding.state]}  {finding.subject}: {finding.told}")
            if finding.remedy:
                click.echo(f"      {finding.remedy}.")
    problems = sum(finding.state == "problem" for finding in found)
    if as_json:
        click.echo(json.dumps({"problems": problems, "findings": [attrs.asdict(one) for one in found]}))
    else:
        click.echo(f"{problems} to be mended." if problems else "All is well.")
    if problems:
        sys.exit(1)
