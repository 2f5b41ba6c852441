"""What an option of an upload may be: its conversion and its check, and how it is described."""

import inspect
import math
import numbers
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast, get_args

import attrs

from astrometry_client.errors import InputError

Call = TypeVar("Call", bound=Callable[..., Any])

_SMALLEST = 1e-9
"""What is sent for 0 where the server drops a 0: a billionth of a degree is no difference to any of them."""


@attrs.frozen(kw_only=True)
class Option:
    """An option of an upload, described."""

    name: str
    kind: str
    """What is given: `number`, `whole number`, `choice`, `yes or no`, `text`."""
    unit: str
    """Empty where there is none; `scale_units` means that this other option names it."""
    allowed: str
    default: str
    """What the server takes if it is left out."""
    meaning: str
    wire: str
    """The server's name of it."""


@attrs.frozen
class Kind:
    """What is allowed for an option, and how that is told and checked."""

    name: str
    allowed: str
    fits: Callable[[Any], bool]

    def check(self, option: str, value: Any) -> None:
        """Raise `InputError` if the value is not allowed."""
        if not self.fits(value):
            raise InputError(f"{option}={value!r} is not allowed: give {self.allowed}.")


@attrs.frozen
class Argument:
    """What is allowed for an argument of a call, and what it means: goes into its annotation."""

    kind: Kind
    meaning: str


def arguments_of(call: Callable[..., Any]) -> dict[str, Argument]:
    """Return the arguments of a call that are told by their annotations."""
    return {
        parameter.name: about
        for parameter in inspect.signature(call).parameters.values()
        for about in get_args(parameter.annotation)
        if isinstance(about, Argument)
    }


def checking(call: Call) -> Call:
    """Let a call turn what it is given into plain values, and refuse what is not allowed; see `Argument`."""
    told, signature = arguments_of(call), inspect.signature(call)

    @wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        for name in told.keys() & given.arguments.keys():
            given.arguments[name] = value = plain(name, given.arguments[name], "")
            told[name].kind.check(name, value)
        return call(*given.args, **given.kwargs)

    return cast(Call, checked)


def number(
    *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf, whole: bool = False
) -> Kind:
    """Return the kind of numbers within bounds."""
    bounds = [
        f"above {above:g}" if math.isfinite(above) else "",
        f"at least {low:g}" if math.isfinite(low) else "",
        f"at most {high:g}" if math.isfinite(high) else "",
    ]
    name = "whole number" if whole else "number"

    def fits(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return False
        return math.isfinite(value) and value > above and low <= value <= high

    return Kind(name, f"a {name} " + " and ".join(filter(None, bounds)), fits)


def one_of(choices: Any) -> Kind:
    """Return the kind of the values of a `Literal`."""
    values = get_args(choices)
    allowed = f"one of {', '.join(map(repr, values))}"
    return Kind("choice", allowed, lambda value: value in values and not isinstance(value, bool))


# nova counts the text "false" as true, so nothing but a real boolean may pass.
YES_OR_NO = Kind("yes or no", "True or False", lambda value: isinstance(value, bool))
TEXT = Kind("text", "a text that is not empty", lambda value: isinstance(value, str) and bool(value))


def option(
    wire: str,
    kind: Kind,
    meaning: str,
    *,
    unit: str = "",
    server: str = "none",
    keep_zero: bool = False,
) -> Any:
    """Return the field of an option.

    Parameters
    ----------
    wire
        Its key in `request-json`.
    server
        What the server takes if it is left out.
    keep_zero
        Whether the server drops a 0, so that something next to it must be sent.
    """
    metadata = {
        "wire": wire,
        "kind": kind,
        "meaning": meaning,
        "unit": unit,
        "server": server,
        "keep_zero": keep_zero,
    }
    return attrs.field(default=None, metadata=metadata)


def described(field: "attrs.Attribute[Any]") -> Option:
    """Return the description of an option."""
    about = field.metadata
    return Option(
        name=field.name,
        kind=about["kind"].name,
        unit=about["unit"],
        allowed=about["kind"].allowed,
        default=about["server"],
        meaning=about["meaning"],
        wire=about["wire"],
    )


def sent(field: "attrs.Attribute[Any]", value: Any) -> Any:
    """Return what is sent for the value of an option."""
    return _SMALLEST if value == 0 and field.metadata["keep_zero"] else value


def plain(name: str, value: Any, unit: str) -> Any:
    """Return a value as Python's own: numpy's numbers converted, quantities in this unit of astropy."""
    if hasattr(value, "to_value") and unit:
        value = _in_unit(name, value, unit)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, numbers.Real) and not isinstance(value, int | float):
        return float(value)
    return value


def _in_unit(name: str, quantity: Any, unit: str) -> Any:
    # A UnitConversionError of astropy is a TypeError, and is caught without importing it.
    for choice in unit.split(" or "):
        try:
            return quantity.to_value(choice)
        except (TypeError, ValueError):
            continue
    raise InputError(f"{name}={quantity!r} is not allowed: give it in {unit}, or what converts to it.")
