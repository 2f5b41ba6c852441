"""Spans of time, as people write them."""

import re
from typing import Any, Final

import click

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


class Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """An option such as `90`, `45s`, `30m`, `2h` or `1d`, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if found is None or found[2] not in _UNITS_S or not float(found[1]):
            self.fail(f"{value!r} is not a time: give seconds, or such as 45s, 30m, 2h, 1d.", param, ctx)
        return float(found[1]) * _UNITS_S[found[2]]


def span(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    return f"{minutes // 60} h {minutes % 60} min"
