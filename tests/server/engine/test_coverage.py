"""Index files are known by the fields they serve, and what is missing by what to install."""

from pathlib import Path

import attrs
import pytest

from astrometry_client.server.engine.coverage import covered, gaps
from astrometry_client.server.engine.indexes import IndexFile, index_files, shipped_dir


def series(*numbers: int) -> list[IndexFile]:
    """Return files of these numbers: the patterns of each are larger than the last one's by a root of 2."""
    return [
        IndexFile(
            path=Path(f"index-41{number:02}.fits"),
            quad_lower_deg=2.0 ** ((number - 10) / 2),
            quad_upper_deg=2.0 ** ((number - 9) / 2),
            star_count=1000,
        )
        for number in numbers
    ]


def parts(count: int) -> list[IndexFile]:
    """Return so many of the 48 parts of a file for fields from 1 degree."""
    (whole,) = series(8)
    return [
        attrs.evolve(whole, path=Path(f"index-5206-{part:02}.fits"), healpix=part, healpix_sides=2)
        for part in range(count)
    ]


@pytest.mark.parametrize(
    ("files", "widths_deg"),
    [
        ([], []),
        (series(10), [(2.0, 5.7)]),
        (series(10, 12), [(2.0, 11.3)]),
        (series(10, 16), [(2.0, 5.7), (16.0, 45.3)]),
        (series(*range(7, 20)), [(0.7, 50.0)]),
        (parts(48), [(1.0, 2.8)]),
        (parts(47), []),
        ([*parts(47), parts(1)[0]], []),
    ],
    ids=["none", "one", "near", "apart", "all", "whole sky in parts", "a part missing", "a part twice"],
)
def test_files_serve_these_fields(files: list[IndexFile], widths_deg: list[tuple[float, float]]) -> None:
    assert covered(files) == [pytest.approx(widths, abs=0.05) for widths in widths_deg]


@pytest.mark.parametrize(
    ("files", "packages"),
    [
        ([], ["10-19", "09", "08", "07", "5200"]),
        (series(*range(13, 20)), ["10-19", "09", "08", "07", "5200"]),
        (series(*range(10, 20)), ["09", "08", "07", "5200"]),
        (series(*range(8, 20)), ["07", "5200"]),
        (series(*range(7, 20)), ["5200"]),
        (series(9, 18, 19), ["08", "07", "5200", "10-19"]),
    ],
)
def test_what_to_install_is_named(files: list[IndexFile], packages: list[str]) -> None:
    told = "; ".join(gap.remedy for gap in gaps(files))
    assert [
        name for name in told.replace("astrometry-data-tycho2-", "").split() if name in packages
    ] == packages


def test_gaps_and_what_is_served_make_a_whole() -> None:
    files = series(10, 16)
    edges = sorted([*(gap.widths_deg for gap in gaps(files)), *covered(files)])
    assert [low for low, _ in edges][1:] == [high for _, high in edges][:-1]
    assert (edges[0][0], edges[-1][1]) == (0.0, 50.0)


def test_shipped_files_leave_narrow_fields_alone() -> None:
    (gap,) = gaps(index_files([shipped_dir()]))
    assert gap.widths_deg == pytest.approx((0.0, 5.7), abs=0.1)
