"""Lists of sources: checked, converted, cut to the brightest."""

from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import MaskedColumn, QTable, Table

from astrometry_client import Session, Settings, SourcesUpload
from astrometry_client.errors import InputError
from astrometry_client.testing import NovaServer

SIZE: dict[str, Any] = {"image_width_px": 100, "image_height_px": 50}


def test_positions_arrive_with_the_size_of_the_image(nova_server: NovaServer) -> None:
    session = Session(base_url=nova_server.url)
    submission = SourcesUpload(
        [1, 2.5], [3, 4], session=session, settings=Settings(parity=2), **SIZE
    ).submit()
    assert submission.id == 1
    (stored,) = nova_server.uploads
    sent = stored.options
    assert stored.content == b"1.0 3.0\n2.5 4.0\n"
    assert (sent["image_width"], sent["image_height"], sent["parity"]) == (100, 50, 2)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2], [3, 4]),
        ((1, 2), (3, 4)),
        (np.array([1, 2], dtype=np.float32), np.array([3, 4], dtype=np.int16)),
        ([1, 2] * units.pix, [3, 4] * units.pix),
        (Table({"x": [1, 2], "y": [3, 4]}), None),
        (QTable({"x": [1, 2] * units.pix, "y": [3, 4] * units.pix}), None),
    ],
    ids=["lists", "tuples", "arrays", "quantities", "table", "qtable"],
)
def test_forms_of_the_same_positions(x: Any, y: Any) -> None:
    upload = SourcesUpload(x, y, **SIZE)
    assert (upload.x, upload.y) == ((1.0, 2.0), (3.0, 4.0))


def test_positions_that_count_from_zero_are_converted() -> None:
    upload = SourcesUpload([0, 9.5], [0, 1], origin=0, **SIZE)
    assert (upload.x, upload.y) == ((1.0, 10.5), (1.0, 2.0))


def test_brightest_are_sent_first_and_the_faint_not_at_all() -> None:
    flux = np.random.default_rng(1).permutation(10_000)
    upload = SourcesUpload(np.arange(10_000), np.arange(10_000), flux=flux, **SIZE)
    assert len(upload.x) == 1000
    assert [flux[int(x)] for x in upload.x] == list(range(9999, 8999, -1))


def test_columns_of_a_table_may_have_any_name() -> None:
    table = Table({"xcentroid": [0, 1], "ycentroid": [2, 3], "kron_flux": [5, 9]})
    upload = SourcesUpload(table, columns=("xcentroid", "ycentroid"), flux="kron_flux", origin=0, **SIZE)
    assert (upload.x, upload.y) == ((2.0, 1.0), (4.0, 3.0))


def test_size_may_stand_in_the_settings() -> None:
    settings = Settings(**SIZE)
    assert SourcesUpload([1], [1], settings=settings).settings == settings


MASKED = Table({"x": MaskedColumn([1.0, 2.0], mask=[False, True]), "y": [1, 2]})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x": range(10_000), "y": range(10_000)}, r"x has 10000 positions.*1000.*flux="),
        ({"x": [1, 2], "y": [1]}, "x has 2, y has 1"),
        ({"x": [1, 2], "y": [1, 2], "flux": [1]}, "flux has 1"),
        ({"x": [], "y": []}, "empty"),
        ({"x": [1, float("nan")], "y": [1, 2]}, r"x\[1\]=nan"),
        ({"x": [1, 2], "y": [1, float("inf")]}, r"y\[1\]=inf"),
        ({"x": [1, 2], "y": [1, 2], "flux": [1, float("nan")]}, r"flux\[1\]=nan"),
        ({"x": ["a", 2], "y": [1, 2]}, r"x\[0\]='a'"),
        ({"x": ["1", 2], "y": [1, 2]}, r"x\[0\]='1'"),
        ({"x": [True, 2], "y": [1, 2]}, r"x\[0\]=True"),
        ({"x": [None, 2], "y": [1, 2]}, r"x\[0\]=None"),
        ({"x": 5, "y": [1]}, "x is int"),
        ({"x": "12", "y": [1]}, "x is str"),
        ({"x": np.zeros((2, 2)), "y": np.zeros((2, 2))}, r"x\[0\]=\[0.0, 0.0\]"),
        ({"x": [1, 2]}, "y=None"),
        ({"x": Table({"x": [1], "b": [1]})}, "no column 'y'"),
        ({"x": Table({"x": [1], "y": [1]}), "flux": "z"}, "no column 'z'.*x, y"),
        ({"x": MASKED}, r"x\[1\]=None"),
        ({"x": [1], "y": [1], "origin": 2}, "origin=2"),
        ({"x": [1], "y": [1], "image_width_px": None}, "image_width_px"),
        ({"x": [1], "y": [1], "image_height_px": None}, "image_height_px"),
        ({"x": [1], "y": [1], "image_width_px": None, "image_height_px": None}, "image_width_px=None"),
        ({"x": [1], "y": [1], "image_width_px": 0}, "image_width_px=0"),
    ],
)
def test_bad_positions_are_named(nova_server: NovaServer, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SourcesUpload(session=Session(base_url=nova_server.url), **{**SIZE, **given})
    assert nova_server.requests == []
