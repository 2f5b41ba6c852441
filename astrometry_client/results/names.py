"""Names for the results of many images, none of which collide."""

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

EXTRAS: Final = {
    "new_fits": ("new_fits_file", ".new.fits"),
    "axy": ("axy_file", ".axy"),
    "rdls": ("rdls_file", ".rdls"),
    "corr": ("corr_file", ".corr"),
    "picture": ("", ".stars.png"),
}
"""Files beside the WCS: their name on the server (none is drawn here), and what their own ends with."""

_ENDINGS: Final = (".wcs", *(ending for _, ending in EXTRAS.values()))
_NEVER_IMAGES: Final = (".wcs", ".rdls", ".corr")
_HASH_DIGITS: Final = 8


def _with_hash(path: Path) -> str:
    return f"{path.name}.{hashlib.sha256(os.fsencode(path)).hexdigest()[:_HASH_DIGITS]}"


Name = Callable[[Path], str]
_CHOICES: Final[tuple[Name, ...]] = (lambda path: path.stem, lambda path: path.name, _with_hash)
"""`m31`, `m31.fits`, `m31.fits.1b2c3d4e`: the first that no other image has."""


def result_names(images: Iterable[Path], *, folder: Path | None = None) -> Mapping[Path, Path]:
    """Return for each image what the paths of its results begin with; the same for the same images.

    No result is given the name of an image. Names that differ in case alone, or in how an accent is written,
    count as one, because some file systems cannot tell them apart.

    Parameters
    ----------
    images
        Absolute paths, each once.
    folder
        Where the results go; by default beside each image.
    """
    choice = dict.fromkeys(images, 0)
    given = set(map(_as_the_disk_sees_it, choice))
    while True:
        names = {path: (folder or path.parent) / _CHOICES[number](path) for path, number in choice.items()}
        claims = Counter(map(_as_the_disk_sees_it, names.values()))
        taken = [
            path
            for path, name in names.items()
            if choice[path] + 1 < len(_CHOICES)
            and (
                claims[_as_the_disk_sees_it(name)] > 1
                or given & _results(name) - {_as_the_disk_sees_it(path)}
            )
        ]
        if not taken:
            return names
        for path in taken:
            choice[path] += 1


def results_among(paths: Iterable[Path], *, folder: Path | None = None) -> list[Path]:
    """Return which of these are results of others: a pattern such as `*` takes them for images.

    They lie beside a WCS, which is written before them.

    Parameters
    ----------
    folder
        Where the results go; by default beside each image.
    """
    paths = list(paths)
    makers = defaultdict[Path, set[Path]](set)
    for path in paths:
        if path.suffix not in _NEVER_IMAGES:
            for choice in _CHOICES:
                makers[(folder or path.parent) / choice(path)].add(path)

    def is_result(path: Path) -> bool:
        for ending in _ENDINGS:
            name = path.name.removesuffix(ending)
            if name not in {path.name, ""} and makers.get(path.with_name(name), set()) - {path}:
                # Not pathlib's, which raises where a folder may not be entered.
                return os.path.exists(path.with_name(f"{name}.wcs"))  # noqa: PTH110
        return False

    return [path for path in paths if is_result(path)]


def _results(name: Path) -> set[str]:
    return {_as_the_disk_sees_it(name.with_name(f"{name.name}{ending}")) for ending in _ENDINGS}


def _as_the_disk_sees_it(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
