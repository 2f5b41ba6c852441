"""What `solve` and `resume` do with many images: who is asked, and where it is written down."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from astrometry_client.cli.batch import Batch
from astrometry_client.cli.batch_options import BatchOptions
from astrometry_client.cli.clients import client_of, local_client
from astrometry_client.errors import InputError
from astrometry_client.ledger import Ledger
from astrometry_client.models import Settings
from astrometry_client.results import Landing, result_names
from astrometry_client.session import is_dry_run_enabled, is_loopback
from astrometry_client.stand_in import LOCAL, Files, Results, StandIn


def solve_many(
    images: Sequence[Path],
    settings: Settings,
    asked: BatchOptions,
    options: Mapping[str, Any],
    names: Mapping[Path, Path] | None = None,
) -> None:
    """Solve images, and tell what became of each.

    Parameters
    ----------
    asked, options
        What was asked for; of `options` count `server_url`, `key_file`, `local` and `fallback`.
    names
        Of the results; by default those of these images.
    """
    if Path("-") in images:
        raise InputError("Standard input holds one image: give it alone.")
    shown = {path.parent.resolve() / path.name: str(path) for path in images}
    here = not is_dry_run_enabled("POST")
    local, fallback = here and options["local"], here and options["fallback"]
    with ExitStack() as stack:
        client = None if local else stack.enter_context(client_of(options))
        lasting = asked.ledger is not None or client is None or not is_loopback(client.base_url)
        ledger = Ledger(asked.ledger) if lasting else Ledger.in_memory()
        landing = Landing(
            names=names or result_names(shown, folder=_folder(asked) if here else None),
            ledger=ledger,
            settings=settings,
            client_of=lambda server: stand_in.client if server == LOCAL or client is None else client,
            extras=asked.extras,
            overwrite=asked.overwrite,
            in_place=asked.in_place,
        )
        for path in landing.results_among(shown):
            click.echo(f"Left out: {shown.pop(path)} is the result of another image.", err=True)
        server = client.base_url if client else LOCAL
        batch = Batch(shown, asked, server=server, landing=landing, resumable=lasting)
        common: dict[str, Any] = {
            "timeout_s": asked.timeout_s,
            "max_unfinished": asked.max_unfinished,
            "pack": asked.pack,
            "on_step": batch.on_step,
        }
        stand_in = stack.enter_context(
            StandIn(
                partial(local_client, workers=None),
                ledger=ledger,
                settings=settings,
                force=asked.force,
                deadline_s=asked.deadline_s,
                is_enough=landing.is_complete,
                **common,
            )
        )
        if client is None:
            batch.run(stand_in.solve_many(batch.files()))
            return
        redo: dict[str, Any] = {"force": asked.force, "retry_failed": asked.retry_failed}

        def ask(files: Files) -> Results:
            yield from client.solve_many(
                files, settings, ledger=ledger, deadline_s=asked.deadline_s, **redo, **common
            )

        batch.run(stand_in.solve_late(batch.files(), ask) if fallback else ask(batch.files()))


def _folder(asked: BatchOptions) -> Path | None:
    """Return the folder that all results go to, which is made; `None` for beside the images."""
    if asked.output_dir is None:
        return None
    asked.output_dir.mkdir(parents=True, exist_ok=True)
    return asked.output_dir.resolve()
