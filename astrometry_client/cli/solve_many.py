"""What `solve` and `resume` do with many images: who is asked, and where it is written down."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click

from astrometry_client.cli.batch import Batch
from astrometry_client.cli.batch_options import BatchOptions
from astrometry_client.cli.clients import client_of, local_client
from astrometry_client.client import Client
from astrometry_client.errors import InputError
from astrometry_client.ledger import LOCAL, Ledger
from astrometry_client.models import Settings
from astrometry_client.results import Landing, result_names
from astrometry_client.session import is_dry_run_enabled, is_loopback
from astrometry_client.stand_in import Files, Results, StandIn


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
    with ExitStack() as stack:
        client = None if here and options["local"] else stack.enter_context(client_of(options))
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
        asking = _Asking(asked=asked, client=client, landing=landing, batch=batch)
        stand_in = stack.enter_context(asking.stand_in())
        batch.run(asking.results(stand_in, fallback=bool(here and options["fallback"])))


@attrs.frozen(kw_only=True)
class _Asking:
    """Who is asked, and for what. Without a client it is the stand-in."""

    asked: BatchOptions
    client: Client | None
    landing: Landing
    batch: Batch

    def stand_in(self) -> StandIn:
        """Return the embedded server, not yet started."""
        return StandIn(
            partial(local_client, workers=None),
            ledger=self.landing.ledger,
            settings=self.landing.settings,
            force=self.asked.force,
            deadline_s=self.asked.deadline_s,
            # What another server had no time for has had its wait; the engine here has a limit of its own.
            timeout_s=None if self.client else self.asked.timeout_s,
            is_enough=self.landing.is_complete,
            **self._common,
        )

    def results(self, stand_in: StandIn, *, fallback: bool) -> Results:
        """Yield what becomes of the images."""
        files = self.batch.files()
        if self.client is None:
            return stand_in.solve_many(files)
        ask = partial(self._ask, self.client)
        return stand_in.solve_late(files, ask) if fallback else ask(files)

    def _ask(self, client: Client, files: Files) -> Results:
        asked = self.asked
        yield from client.solve_many(
            files,
            self.landing.settings,
            ledger=self.landing.ledger,
            force=asked.force,
            retry_failed=asked.retry_failed,
            timeout_s=asked.timeout_s,
            deadline_s=asked.deadline_s,
            **self._common,
        )

    @property
    def _common(self) -> dict[str, Any]:
        return {
            "max_unfinished": self.asked.max_unfinished,
            "pack": self.asked.pack,
            "on_step": self.batch.on_step,
        }


def _folder(asked: BatchOptions) -> Path | None:
    """Return the folder that all results go to, which is made; `None` for beside the images."""
    if asked.output_dir is None:
        return None
    asked.output_dir.mkdir(parents=True, exist_ok=True)
    return asked.output_dir.resolve()
