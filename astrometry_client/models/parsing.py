"""What the server writes as text, as Python's own types."""

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["moment", "parsed"]

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_WHOLE: Final = re.compile(r"-?(0|[1-9]\d{0,99})", re.ASCII)
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
"""A number as JSON has it: what begins with a zero, such as a checksum, is none."""

_TEXTS: Final = frozenset(
    {
        *("original_filename", "tags", "machine_tags", "objects_in_field", "names", "type"),
        *("hash", "session", "message", "errormessage", "error_message"),
    }
)
"""Keys of names and sentences, which stay as they are: a file may be called 2024."""


def moment(text: str) -> datetime:
    """Return a time as nova writes it: in UTC, without saying so."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def parsed(value: Any) -> Any:
    """Return a JSON value, and all that is in it, with times, numbers and `None` in place of their texts."""
    if isinstance(value, dict):
        return {key: inner if key in _TEXTS else parsed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [parsed(inner) for inner in value]
    return _plain(value) if isinstance(value, str) else value


def _plain(text: str) -> Any:
    if text == "None":
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    try:
        return moment(text) if _MOMENT.fullmatch(text) else text
    except ValueError:
        return text
