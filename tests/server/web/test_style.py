"""Every text can be read in both schemes of colours, and the scripts keep text apart from HTML."""

import re
from importlib.resources import files

import pytest

FILES = files("astrometry_client.server.web") / "files"
CSS = (FILES / "page.css").read_text(encoding="utf-8")
SCRIPTS = [file for file in FILES.iterdir() if file.name.endswith(".js")]
LIGHT, DARK = (
    dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
)
TEXTS = ("text", "soft", "accent", "good", "bad", "busy")
GROUNDS = ("ground", "sheet", "wash")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_have_a_contrast_of_4_5(scheme: dict[str, str]) -> None:
    pairs = [*((text, ground) for text in TEXTS for ground in GROUNDS), ("on-accent", "accent")]
    weak = {pair: contrast(scheme[pair[0]], scheme[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_of_controls_have_a_contrast_of_3(scheme: dict[str, str]) -> None:
    assert min(contrast(scheme["edge"], scheme[ground]) for ground in ("ground", "sheet")) >= 3.0


def test_schemes_name_the_same_colours() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_scripts_make_no_html_of_text() -> None:
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\(['\"]"
    assert not [script.name for script in SCRIPTS if re.search(makers, script.read_text(encoding="utf-8"))]


def test_nothing_comes_from_elsewhere() -> None:
    assert not re.findall(r"url\(|@import|//[a-z]", CSS)
