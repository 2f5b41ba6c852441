"""Where the results of an image are wanted, as the ledger keeps it until they are there."""

import json
from pathlib import Path
from typing import Self

import attrs


@attrs.frozen(kw_only=True)
class Place:
    """What was wanted.

    Parameters
    ----------
    name
        What the paths of the results begin with.
    wcs
        Where the WCS goes, if elsewhere.
    table
        That of the batch; a single image has none.
    extras, in_place
        See `Landing`.
    server, settings_json
        What is asked, and how.
    """

    name: Path
    wcs: Path | None
    table: Path | None
    extras: tuple[str, ...]
    in_place: bool
    server: str
    settings_json: str

    def as_json(self) -> str:
        """Return what the ledger keeps."""
        return json.dumps(attrs.asdict(self), default=str)

    @classmethod
    def from_json(cls, kept: str) -> Self:
        """Return what the ledger kept."""
        known = json.loads(kept)
        paths = {field: known[field] and Path(known[field]) for field in ("name", "wcs", "table")}
        return cls(**{**known, **paths, "extras": tuple(known["extras"])})
