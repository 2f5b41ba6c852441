"""`astrometry-client cache`: what is stored, and how to forget it."""

import json

import click

from astrometry_client.session import cache_info, cache_path, clear_cache


@click.group
def cache() -> None:
    """Look at the stored replies, or forget them. Set ASTROMETRY_CACHE_DIR to keep them elsewhere."""


@cache.command
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a line.")
def info(*, as_json: bool) -> None:
    """Tell how many replies are stored, and how much room they take."""
    found = cache_info()
    if as_json:
        document = {
            "path": str(found.path),
            "replies": found.replies,
            "size_bytes": found.size_bytes,
            "max_size_bytes": found.max_size_bytes,
        }
        click.echo(json.dumps(document))
        return
    click.echo(
        f"{found.replies} replies, {found.size_bytes / 1e6:.1f} of at most "
        f"{found.max_size_bytes / 1e6:.0f} MB, in {found.path}"
    )


@cache.command
def clear() -> None:
    """Forget every stored reply."""
    before = cache_info()
    clear_cache()
    click.echo(f"{before.replies} replies forgotten, {before.size_bytes / 1e6:.1f} MB given back.")


@cache.command
def path() -> None:
    """Print where the replies are stored."""
    click.echo(cache_path())
