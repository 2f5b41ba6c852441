"""Texts of the server as Python's own types, and nothing else touched."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from astrometry_client.models.parsing import parsed

MOMENT = datetime(2026, 11, 20, 14, 28, 1, 337214, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-20 14:28:01.337214", MOMENT),
        ("2026-11-20T14:28:01", MOMENT.replace(microsecond=0)),
        ("None", None),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        ("12345678901234567890123", 12345678901234567890123),
    ],
)
def test_text_becomes_what_it_says(text: str, value: Any) -> None:
    found = parsed({"a": [{"b": text}]})["a"][0]["b"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        *("", "none", "true", "NGC 1", "nan", "inf", "007", "1_000", "+1", "1.", ".5", " 1", "1\n", "0x1"),
        *("1٢", "1e999", "2026-11-20", "2026-13-20 14:28:01", "2026-11-20 14:28:01+02:00"),
    ],
)
def test_any_other_text_stays(text: str) -> None:
    assert parsed([text]) == [text]


def test_names_stay_names() -> None:
    document = {"original_filename": "2024", "tags": ["1", "None"], "hash": "1" * 40, "subid": "7"}
    assert parsed(document) == {**document, "subid": 7}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_no_text_is_not_touched(document: Any) -> None:
    assert parsed(document) == document


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    value = parsed(text)
    assert value is None or isinstance(value, (str, int, float, datetime))
