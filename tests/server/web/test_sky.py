"""Numbers of the sky, rounded where a digit is carried."""

import pytest

from astrometry_client.server.web import sky


@pytest.mark.parametrize(
    ("degrees", "shown"),
    [
        (0.0, "00h 00m 00.0s"),
        (83.822083, "05h 35m 17.3s"),
        (15.0 - 1e-9, "01h 00m 00.0s"),
        (360.0 - 1e-9, "00h 00m 00.0s"),
        (360.0, "00h 00m 00.0s"),
        (-15.0, "23h 00m 00.0s"),
    ],
)
def test_right_ascension_is_told_in_hours(degrees: float, shown: str) -> None:
    assert sky.hours(degrees) == shown


@pytest.mark.parametrize(
    ("degrees", "shown"),
    [
        (-5.391111, "−05° 23′ 28.0″"),
        (-0.5, "−00° 30′ 00.0″"),
        (-1e-9, "+00° 00′ 00.0″"),
        (59.0 + 3599.99 / 3600.0, "+60° 00′ 00.0″"),
        (-90.0, "−90° 00′ 00.0″"),
    ],
)
def test_declination_has_a_sign(degrees: float, shown: str) -> None:
    assert sky.degrees(degrees) == shown


@pytest.mark.parametrize(
    ("arcsec", "shown"),
    [(100798.6, "28.00°"), (3600.0, "1.000°"), (3599.0, "59.98′"), (61.0, "1.017′"), (0.3961, "0.396″")],
)
def test_angle_has_the_unit_of_its_size(arcsec: float, shown: str) -> None:
    assert sky.angle(arcsec) == shown


def test_angle_is_as_precise_as_asked() -> None:
    assert [sky.angle(arcsec, digits=2) for arcsec in (5400.0, 1200.0, 2.0)] == ["1.5°", "20′", "2.0″"]
