"""Whatever goes into a template is text there."""

import pytest

from astrometry_client.server.web.html import Html, filled, repeated

HOSTILE = "<img src=x onerror=alert(1)>\"' &amp;"
HARMLESS = "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27; &amp;amp;"


def test_text_is_escaped_between_tags_and_in_attributes() -> None:
    assert filled('<a title="$text">$text</a>', text=HOSTILE) == f'<a title="{HARMLESS}">{HARMLESS}</a>'


def test_html_is_escaped_once() -> None:
    inner = repeated("<li>$item</li>", ({"item": item} for item in (HOSTILE, 7)))
    assert filled("<ul>$inner</ul>", inner=inner) == f"<ul><li>{HARMLESS}</li>\n<li>7</li></ul>"


def test_dollar_in_a_value_is_no_template() -> None:
    assert filled("<p>$text</p>", text="$other ${text} $$") == "<p>$other ${text} $$</p>"


def test_joining_html_makes_text_that_is_escaped_again() -> None:
    joined = Html("<b>") + HOSTILE
    assert filled("$text", text=joined).startswith("&lt;b&gt;&lt;img")


def test_missing_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="text"):
        filled("<p>$text</p>")
