import io

import numpy as np
import pytest
from astropy.io import fits

from astrometry_client.server.engine.source_lists import field_of, parse_list
from astrometry_client.server.engine.values import ImageError


@pytest.mark.parametrize(
    "text",
    ["10.5 20\n30 40.25\n", "# x y\n10.5,20\n30,40.25\n", "x\ty\n\n10.5\t20\n3.0e1\t40.25"],
)
def test_text_of_x_and_y_is_a_field(text: str) -> None:
    field = parse_list(text.encode())
    assert field is not None
    assert field.x.tolist() == [10.5, 30.0]
    assert field.y.tolist() == [20.0, 40.25]
    assert (field.width_px, field.height_px) == (30, 41)


def test_third_number_is_the_flux() -> None:
    field = parse_list(b"1 2 10\n3 4 30\n5 6 20\n")
    assert field is not None
    assert field.x.tolist() == [3.0, 5.0, 1.0]


@pytest.mark.parametrize("data", [b"", b"just words\n", b"1\n2\n", b"\xff\xd8\xff\xe0 1 2"])
def test_other_bytes_are_no_list(data: bytes) -> None:
    assert parse_list(data) is None


def test_fits_table_with_x_and_y_is_a_field() -> None:
    columns = [
        fits.Column(name=n, format="E", array=a) for n, a in (("X", [1, 2]), ("Y", [3, 4]), ("FLUX", [5, 6]))
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["IMAGEW"], table.header["IMAGEH"] = 640, 480
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    field = parse_list(out.getvalue())
    assert field is not None
    assert field.x.tolist() == [2.0, 1.0]
    assert (field.width_px, field.height_px) == (640, 480)


@pytest.mark.parametrize("y", [[1.0], [1.0, np.nan]])
def test_list_must_be_whole(y: list[float]) -> None:
    with pytest.raises(ImageError, match="finite x and y"):
        field_of(np.array([1.0, 2.0]), np.array(y))
