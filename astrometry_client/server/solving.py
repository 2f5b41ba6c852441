"""The work itself, done in a worker process: find the images of a submission, solve one."""

import base64
import io
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from .annotations import annotations
from .archive import ArchiveError, is_archive, unpack
from .engine import Engine, Field, Hints, ImageError, read_field
from .engine.source_lists import field_of
from .files import FileStore
from .hints import HintsError, make_hints
from .material import Material
from .options import ENGINE, LISTED
from .products import PRODUCTS
from .settings import ServerSettings
from .tasks import Found, FoundImage, MakeTask, ReadTask, SolveTask

Json = dict[str, Any]

TURN_S = 5.0
"""An archive that takes longer to read is put back for a turn, so that other users are not kept waiting."""

LONGEST_MESSAGE = 252
"""Characters of an `error_message`; nova keeps as many."""


@attrs.frozen
class Solving:
    """What a worker needs: an engine, and the files of the server.

    Parameters
    ----------
    others
        Engines an upload may ask for by name.
    """

    engine: Engine
    files: FileStore
    settings: ServerSettings
    others: Mapping[str, Engine] = attrs.field(factory=dict)

    def read(self, task: ReadTask) -> Json:
        """Return the images found in a submission, or why there are none."""
        try:
            return attrs.asdict(self._found_in(task))
        except (ImageError, ArchiveError) as error:
            return {"reason": _told(error, task.sha1, task.filename)[-LONGEST_MESSAGE:]}
        except MemoryError:
            return {"reason": self._no_memory()}

    def solve(self, task: SolveTask) -> Json:
        """Return the solution of an image, or why there is none."""
        field = self._load(task.field)
        try:
            hints = make_hints(task.options, width_px=field.width_px)
        except HintsError as error:
            return {"reason": str(error)}
        try:
            match = self._engine(task.options).solve(
                field, attrs.evolve(hints, time_limit_s=self.settings.solve_timeout_s)
            )
        except MemoryError:
            return {"reason": self._no_memory()}
        if match is None:
            return {"reason": "no match was found"}
        return {
            "calibration": match.calibration,
            "annotations": annotations(match.wcs_file, width_px=field.width_px, height_px=field.height_px),
            "wcs": base64.b64encode(match.wcs_file).decode(),
            "stars": match.stars.tolist(),
        }

    def make(self, task: MakeTask) -> Json:
        """Return the path of a result file made anew, or why it cannot be made."""
        material = Material(
            path=self.files.path(task.sha1),
            listed=bool(task.options.get(LISTED)),
            field=self._load(task.field),
            wcs_file=None if task.wcs is None else base64.b64decode(task.wcs),
            stars=np.array(task.stars, dtype=np.float64).reshape(-1, 4),
            annotations=task.annotations,
        )
        try:
            content = PRODUCTS[task.product](material)
        except ImageError as error:
            return {"reason": str(error)}
        except MemoryError:
            return {"reason": self._no_memory()}
        handle, name = tempfile.mkstemp(dir=self.settings.made_dir)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return {"made": name}

    def _no_memory(self) -> str:
        return f"more memory is needed than a worker may have ({self.settings.memory_bytes >> 20} MiB)"

    def _engine(self, options: Json) -> Engine:
        engines = {**self.others, self.engine.name: self.engine}
        name = options.get(ENGINE, self.engine.name)
        if name not in engines:
            raise ImageError(f"engine {name} is not installed here; choose one of: {', '.join(engines)}")
        return engines[name]

    def _found_in(self, task: ReadTask) -> Found:
        self._engine(task.options)
        if task.sha1 is None:
            raise ImageError('no file came with the upload: it belongs into the form as "file"')
        path = self.files.path(task.sha1)
        if is_archive(path) and not task.options.get(LISTED):
            return self._found_in_archive(path, task)
        if task.options.get(LISTED):
            field = _listed_field(path, task.options)
        else:
            field = read_field(path, _reading_hints(task.options))
        return Found([self._found(task.sha1, task.filename, field)])

    def _found_in_archive(self, path: Path, task: ReadTask) -> Found:
        end_s = time.monotonic() + TURN_S
        found, reason = Found([], reason="the archive holds no files"), ""
        members = unpack(path, store=self.files, settings=self.settings, start=task.members_read)
        for number, (name, stored) in enumerate(members, start=task.members_read + 1):
            try:
                field = read_field(self.files.path(stored.sha1), _reading_hints(task.options))
            except ImageError as error:
                reason = str(error)[-LONGEST_MESSAGE:]
            else:
                found.images.append(self._found(stored.sha1, name, field))
            if time.monotonic() > end_s:
                return attrs.evolve(found, members_read=number)
        return attrs.evolve(found, reason=reason or found.reason)

    def _found(self, sha1: str, filename: str, field: Field) -> FoundImage:
        packed = io.BytesIO()
        np.savez(packed, **attrs.asdict(field, filter=lambda _, value: value is not None))
        return FoundImage(sha1, filename, self.files.store(packed.getvalue()).sha1)

    def _load(self, sha1: str) -> Field:
        with np.load(self.files.path(sha1)) as packed:
            values = {name: packed[name] for name in packed.files}
        return Field(**{name: value if value.ndim else value.item() for name, value in values.items()})


def _told(error: Exception, sha1: str | None, name: str) -> str:
    """Return what is wrong with a file under the name its owner knows."""
    return str(error).replace(sha1, name) if sha1 else str(error)


def _reading_hints(options: Json) -> Hints:
    factor = max(1.0, options.get("downsample_factor", 1.0))
    return Hints(downsample_factor=factor, invert=options.get("invert", False))


def _listed_field(path: Path, options: Json) -> Field:
    table = np.array(path.read_text().split(), dtype=np.float64).reshape(-1, 2)
    width, height = options.get("image_width"), options.get("image_height")
    return field_of(table[:, 0], table[:, 1], size_px=(width, height) if width and height else None)
