"""Fill templates. Nothing gets into a page but through here, where it is escaped."""

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from string import Template


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


@cache
def template(name: str) -> str:
    """Return the text of a template."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def filled(text: str, /, **values: object) -> Html:
    """Return the text of a template with these values; whatever is not `Html` is escaped.

    Templates put values between tags and into quoted attributes only, never into scripts or styles.
    """
    return Html(Template(text).substitute({key: _escaped(value) for key, value in values.items()}))


def repeated(text: str, every: Iterable[Mapping[str, object]]) -> Html:
    """Return a template filled once with each of these values."""
    return Html("\n".join(filled(text, **values) for values in every))


def _escaped(value: object) -> Html:
    return value if isinstance(value, Html) else Html(escape(str(value)))
