"""Numbers of the sky as astronomers write them."""


def hours(degrees: float) -> str:
    """Return a right ascension in hours, minutes and seconds of time."""
    tenths = round(degrees % 360.0 / 15.0 * 36000.0) % (24 * 36000)
    return _sexagesimal(tenths, "h", "m", "s")


def degrees(value: float) -> str:
    """Return a declination in degrees, arc minutes and seconds."""
    tenths = round(abs(value) * 36000.0)
    return ("−" if value < 0 and tenths else "+") + _sexagesimal(tenths, "°", "′", "″")


def _sexagesimal(tenths: int, *units: str) -> str:
    seconds, tenth = divmod(tenths, 10)
    minutes, second = divmod(seconds, 60)
    whole, minute = divmod(minutes, 60)
    return f"{whole:02}{units[0]} {minute:02}{units[1]} {second:02}.{tenth}{units[2]}"


def angle(arcsec: float, *, digits: int = 4) -> str:
    """Return an angle in the unit that suits its size."""
    for unit, size in (("°", 3600.0), ("′", 60.0)):
        if arcsec >= size:
            return f"{_rounded(arcsec / size, digits)}{unit}"
    return f"{_rounded(arcsec, digits)}″"


def place(calibration: dict[str, float]) -> str:
    """Return the centre of an image."""
    return f"{hours(calibration['ra'])} {degrees(calibration['dec'])}"


def size(calibration: dict[str, float]) -> str:
    """Return the width and height of an image."""
    return " × ".join(angle(calibration[side]) for side in ("width_arcsec", "height_arcsec"))


def _rounded(value: float, digits: int) -> str:
    before = len(str(int(value)))
    return f"{value:.{max(0, digits - before)}f}"
