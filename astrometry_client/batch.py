"""Many images: none uploaded twice, none lost, each result under the name of its own file."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Final, TypeVar

import attrs

from astrometry_client import flow
from astrometry_client.course import Course
from astrometry_client.driver import pace_of
from astrometry_client.errors import (
    APIKeyError,
    AstrometryError,
    InputError,
    LedgerError,
    LoginFailedException,
    Unreachable,
)
from astrometry_client.flow.steps import positive
from astrometry_client.ledger import Holder, Key, Ledger, State
from astrometry_client.login import Session
from astrometry_client.models import Settings, Solution
from astrometry_client.packed import MOST_IN_A_TAR, Packing
from astrometry_client.recorded import End, RecordedSolves, forecast_of, key_of
from astrometry_client.session import is_dry_run_enabled, is_loopback
from astrometry_client.uploads import FileUpload, single

__all__ = ["Batch", "BatchProgress", "BatchResult"]

File = TypeVar("File")
BatchProgress = Callable[[str | Path, flow.Step], None]

ENDS_THE_BATCH: Final = (APIKeyError, LoginFailedException, LedgerError, Unreachable)
"""What would happen to every other image too."""


@attrs.frozen(kw_only=True)
class BatchResult:
    """What became of one file of a batch: a solution or an error."""

    path: str | Path
    """The file, as it was given."""
    solution: Solution | None = None
    """Under the name of this file."""
    error: AstrometryError | None = None
    """Why there is no solution; carries the ids."""
    from_ledger: bool = False
    """Whether it was known already, and nothing was asked."""

    @property
    def name(self) -> str:
        """Name of the file; the text of what is no path."""
        return Path(self.path).name if isinstance(self.path, str | PathLike) else str(self.path)

    @property
    def solved(self) -> bool:
        """Whether there is a solution."""
        return self.solution is not None


@attrs.define(eq=False)
class Image:
    """An image in work, and the files it was given in."""

    paths: list[str | Path]
    key: Key | None = None


@attrs.frozen(kw_only=True)
class Batch:
    """What holds for all images of a batch.

    Parameters
    ----------
    login, ledger, settings
        Who asks, where every step is written, and the options of every upload.
    redo
        See `redo_states`.
    timeout_s
        Seconds to wait for each image at most; `None` waits as long as it takes.
    deadline_s
        Seconds after which nothing more is begun, and what is in work is left to the next run.
    max_unfinished
        Images in work at once, 1 or more.
    pack
        Whether small images are sent together; see `Client.solve_many`.

    Raises
    ------
    InputError
        A number is not allowed.
    """

    login: Session
    ledger: Ledger
    settings: Settings
    redo: Collection[State]
    timeout_s: float | None
    deadline_s: float | None = attrs.field(validator=attrs.validators.optional(positive))
    max_unfinished: int = attrs.field()
    pack: bool | None = None
    polling: flow.Polling = attrs.field(init=False)

    @max_unfinished.validator
    def _at_least_one(self, attribute: "attrs.Attribute[int]", value: int) -> None:
        if value < 1:
            raise InputError(f"{attribute.name}={value!r} is not allowed: give 1 or more.")

    @polling.default
    def _pace(self) -> flow.Polling:
        return pace_of(self.login.base_url, timeout_s=self.timeout_s)

    @property
    def _packs(self) -> bool:
        # A server on this machine may be asked as often as one likes.
        return not is_loopback(self.login.base_url) if self.pack is None else self.pack

    def course(
        self, files: Iterable[str | Path], on_step: BatchProgress | None
    ) -> Course["Image", End | None, BatchResult]:
        """Return what is to be driven, with the images in hand until its end; see `several`."""
        holder = self.ledger.holder()
        way = self.way(holder)
        return Course(
            flows=way.flows(several(files)),
            results=way.results,
            server=self.login.base_url,
            most=self.max_unfinished,
            deadline_s=self.deadline_s,
            on_step=on_step and (lambda image, step: on_step(image.paths[0], step)),
            scope=holder,
        )

    def way(self, holder: Holder) -> "Way":
        """Return the way of the images through one run."""
        forecast = forecast_of(self.login, self.ledger, self.polling)
        packing = Packing(
            login=self.login,
            holder=holder,
            polling=self.polling,
            forecast=forecast,
            size=max(1, min(MOST_IN_A_TAR, 5 * self.max_unfinished // 8)),
            is_wanted=self._packs and not is_dry_run_enabled("POST", self.login.client_session),
            trusts_order=bool(self.pack),
        )
        return Way(
            batch=self,
            solves=RecordedSolves(
                login=self.login,
                holder=holder,
                polling=self.polling,
                forecast=forecast,
                packing=packing,
                redo=self.redo,
                newest=2 * self.max_unfinished,
            ),
        )


def several(files: Iterable[File]) -> Iterable[File]:
    """Return files as they are.

    Raises
    ------
    InputError
        They are a single path, whose characters would be taken for files.
    """
    if isinstance(files, str | bytes | PathLike):
        raise InputError(f"{files!r} is one path: give a list of them.")
    return files


@attrs.define(kw_only=True, eq=False)
class Way:
    """The images in work; a file with the same content joins the one in work."""

    batch: Batch
    solves: RecordedSolves
    _in_work: dict[Key, Image] = attrs.field(factory=dict, init=False)

    def flows(self, files: Iterable[str | Path]) -> Iterator[tuple[Image, flow.Steps[End | None]]]:
        """Yield each file with the way it goes."""
        for path in files:
            image = Image([path])
            yield image, self._solve(image)

    def results(self, image: Image, end: End | AstrometryError | None) -> Iterator[BatchResult]:
        """Yield the end of an image for each file it was given in.

        Raises
        ------
        AstrometryError
            It is one of `ENDS_THE_BATCH`.
        """
        if isinstance(end, ENDS_THE_BATCH):
            raise end
        if end is None:
            return  # it goes the way of another
        if image.key is not None:
            del self._in_work[image.key]
        known = End(error=end) if isinstance(end, AstrometryError) else end
        for path in image.paths:
            result = BatchResult(path=path, error=known.error, from_ledger=known.from_ledger)
            solution = known.solution and attrs.evolve(known.solution, name=result.name)
            yield attrs.evolve(result, solution=solution)

    def _solve(self, image: Image) -> flow.Steps[End | None]:
        (path,) = image.paths
        login, settings = self.batch.login, self.batch.settings

        def opened() -> tuple[FileUpload, Key]:
            upload = single(FileUpload(path, session=login, settings=settings))
            return upload, key_of(upload)

        upload, key = yield flow.Local(opened, reads_file=True)
        first = self._in_work.setdefault(key, image)
        if first is not image:
            first.paths.append(path)
            yield flow.Local(partial(self.batch.ledger.also_named, key, name=str(path)))
            return None
        image.key = key
        return (yield from self.solves.solve(upload, key, label=str(path)))
