"""Names for the results of many images, none of which collide."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

_HASH_DIGITS: Final = 8


def _with_hash(path: Path) -> str:
    return f"{path.name}.{hashlib.sha256(os.fsencode(path)).hexdigest()[:_HASH_DIGITS]}"


Name = Callable[[Path], str]
_CHOICES: Final[tuple[Name, ...]] = (lambda path: path.stem, lambda path: path.name, _with_hash)
"""`m31`, `m31.fits`, `m31.fits.1b2c3d4e`: the first that no other image has."""


def result_names(images: Iterable[Path], *, folder: Path | None = None) -> Mapping[Path, Path]:
    """Return for each image what the paths of its results begin with; the same for the same images.

    Names that differ in case alone, or in how an accent is written, count as one, because some file systems
    cannot tell them apart.

    Parameters
    ----------
    images
        Absolute paths, each once.
    folder
        Where the results go; by default beside each image.
    """
    choice = dict.fromkeys(images, 0)
    while True:
        names = {path: (folder or path.parent) / _CHOICES[number](path) for path, number in choice.items()}
        claims = Counter(map(_as_the_disk_sees_it, names.values()))
        taken = [
            path
            for path, name in names.items()
            if claims[_as_the_disk_sees_it(name)] > 1 and choice[path] + 1 < len(_CHOICES)
        ]
        if not taken:
            return names
        for path in taken:
            choice[path] += 1


def _as_the_disk_sees_it(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
