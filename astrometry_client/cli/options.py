"""Options that several commands have."""

from pathlib import Path

import click

index_dirs_option = click.option(
    "--index-dir",
    "index_dirs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Folder of further index files; may be given several times.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of lines."
)
