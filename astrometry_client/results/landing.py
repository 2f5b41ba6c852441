"""Results land on the disk as they come: whole or not at all, and nothing of others is replaced."""

import errno
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import attrs

from astrometry_client import api
from astrometry_client.batch import BatchResult
from astrometry_client.client import Client
from astrometry_client.errors import AstrometryError, InputError, LedgerError
from astrometry_client.ledger import LOCAL, Key, Ledger, settings_json
from astrometry_client.models import Settings, Solution
from astrometry_client.results.in_place import write_in_place
from astrometry_client.results.names import EXTRAS
from astrometry_client.results.places import Place
from astrometry_client.results.rows import printable
from astrometry_client.session.interrupting import Interrupted

Before = Literal["none", "older", "same"]
"""What WCS of ours was there before a solution landed."""


@attrs.frozen(kw_only=True)
class Landed:
    """What the disk holds of a result."""

    wcs: Path | None = None
    extras: Mapping[str, Path] = attrs.field(factory=dict)
    troubles: tuple[AstrometryError, ...] = ()
    """Why something is missing. The same again fetches it, without another solve."""


@attrs.frozen(kw_only=True)
class Landing:
    """Where the results of images go.

    Parameters
    ----------
    names
        What the paths of an image's results begin with; see `result_names`.
    ledger
        Tells whether a file that exists is an earlier result of ours.
    server, settings
        Those of all images.
    client_of
        Gives a client of the server a solution is from.
    extras
        Which of `EXTRAS` to write too.
    overwrite
        Whether files of others are replaced.
    in_place
        Whether the solution goes into the header of the image as well.
    wcs
        Where the WCS of a single image goes; by default beside its other results.
    """

    names: Mapping[Path, Path]
    ledger: Ledger
    server: str
    settings: Settings
    client_of: Callable[[str], Client]
    extras: Collection[str] = ()
    overwrite: bool = False
    in_place: bool = False
    wcs: Path | None = None
    _landed: list[Path] = attrs.field(factory=list, init=False)

    @contextmanager
    def wanted(self, images: Collection[Path], *, table: Path | None = None) -> Iterator[None]:
        """Keep in the ledger where results are wanted that do not land before the end of the block.

        Parameters
        ----------
        table
            Of all of them.
        """
        self.ledger.expect({printable(str(image)): self._place(image, table) for image in images})
        try:
            yield
        finally:
            # What stays written down is looked for once more, and found to be there.
            with suppress(LedgerError):
                self.ledger.landed(printable(str(image)) for image in self._landed)

    def drop(self, image: Path) -> None:
        """Want no results of an image, which is none."""
        self._landed.append(image)

    def _place(self, image: Path, table: Path | None) -> str:
        return Place(
            name=self.names[image],
            wcs=self.wcs and self.wcs.absolute(),
            table=table and table.absolute(),
            extras=tuple(self.extras),
            in_place=self.in_place,
            server=self.server,
            settings_json=settings_json(self.settings),
        ).as_json()

    def path_of(self, image: Path, ending: str) -> Path:
        """Return where a result of an image goes."""
        if ending == ".wcs" and self.wcs:
            return self.wcs
        name = self.names[image]
        return name.with_name(f"{name.name}{ending}")

    def is_complete(self, image: Path) -> bool:
        """Return whether nothing of a solved image is missing that only its server can give."""
        _, *extras = self._endings()
        return all(self.path_of(image, ending).exists() for ending in extras)

    def check(self, image: Path) -> None:
        """Make sure that nothing is in the way of the results of an image.

        Raises
        ------
        InputError
            There is no such folder, or a file would be replaced that is not known to be ours.
        """
        wcs, *extras = (self.path_of(image, ending) for ending in self._endings())
        if not wcs.parent.is_dir():
            raise InputError(f"{wcs.parent} is not a folder: make it, or name another.")
        found = next((path for path in (wcs, *extras) if path.exists()), None)
        if found and not self.overwrite and not self._is_ours(wcs, image):
            raise _taken(found)

    def land(self, result: BatchResult) -> Landed:
        """Write what is not there yet.

        Raises
        ------
        OSError
            A file cannot be written.
        """
        if result.solution is None:
            return Landed()
        image, solution = Path(result.path), result.solution
        wcs = self.path_of(image, ".wcs")
        try:
            with _short_enough(wcs):
                before = self._write_wcs(wcs, solution, image)
        except InputError as error:
            return Landed(troubles=(error,))
        extras, troubles = dict[str, Path](), list[AstrometryError]()
        for name in self.extras:
            try:
                extras[name] = self._extra(name, result, solution, before)
            except Interrupted:
                raise  # nothing is wrong with it
            except AstrometryError as error:
                troubles.append(error)
        if self.in_place:
            try:
                self._write_in_place(image, solution)
            except InputError as error:
                troubles.append(error)
        if all(isinstance(trouble, InputError) for trouble in troubles):
            self._landed.append(image)  # what is missing only the user can bring about
        return Landed(wcs=wcs, extras=extras, troubles=tuple(troubles))

    def _extra(self, name: str, result: BatchResult, solution: Solution, before: Before) -> Path:
        """Return the path of an extra, which is fetched unless it is there."""
        image = Path(result.path)
        path = self.path_of(image, EXTRAS[name][1])
        # The stand-in that a remembered solution is from is gone, and another gives out its job ids.
        gone = result.from_ledger and solution.server == LOCAL
        known = result.from_ledger and before != "older"
        if path.exists() and (gone or (known and not self.overwrite)):
            return path
        if path.exists() and before == "none" and not self.overwrite:
            raise _taken(path)
        if gone:
            raise InputError(f"{path} cannot be had any more, its server is gone: solve again with --force.")
        self._fetch(name, path, solution, image)
        return path

    def _write_wcs(self, path: Path, solution: Solution, image: Path) -> Before:
        """Write the WCS unless it is there, and return what of ours was there before."""
        if path.is_file() and path.read_bytes() == solution.wcs_file:
            return "same"
        ours = self._is_ours(path, image)
        if path.exists() and not self.overwrite and not ours:
            raise _taken(path)
        solution.write_wcs(path)
        return "older" if ours else "none"

    def _is_ours(self, wcs: Path, image: Path) -> bool:
        return wcs.is_file() and self.ledger.gave(str(image), wcs.read_bytes())

    def _endings(self) -> list[str]:
        return [".wcs", *(EXTRAS[name][1] for name in self.extras)]

    def _fetch(self, name: str, path: Path, solution: Solution, image: Path) -> None:
        client, kind = self.client_of(solution.server), EXTRAS[name][0]
        if kind:
            request = api.result_file(client.base_url, solution.job_id, kind)
            try:
                request.download(path, client.session.client_session)
            except InputError as error:
                # A disk that is full is no fault of this one file.
                raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from error
            return
        from astrometry_client.picture import draw_objects

        draw_objects(image, client.annotations(solution), path=path)

    def _write_in_place(self, image: Path, solution: Solution) -> None:
        def remember(old_sha256: str, new_sha256: str) -> None:
            # The image under its new content is solved too, so that the same again asks nothing.
            key = Key.of_content(old_sha256, self.settings, server=solution.server)
            if self.ledger.entry(key) is None:
                raise InputError(f"{image} has changed since it was solved: solve it again.")
            self.ledger.remember(attrs.evolve(key, content_sha256=new_sha256), solution, name=str(image))
            self.ledger.replaced(key, name=str(image))

        write_in_place(image, solution.wcs_file, before=remember)


@contextmanager
def _short_enough(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InputError(f"{path} is too long a name: give the image a shorter one.") from error


def _taken(path: Path) -> InputError:
    return InputError(
        f"{path} exists and is not known to be ours: give --overwrite to replace it, or another place."
    )
