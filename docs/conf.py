"""How the pages are built. Nothing is fetched: the build needs no network."""

from importlib.metadata import version as installed_version
from typing import Any

from sphinx.application import Sphinx

from astrometry_client.errors import AstrometryError

project = "astrometry-client"
author = "The astrometry-client developers"
copyright = author
version = release = installed_version("astrometry-client")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

default_role = "code"
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!astrometry_client).*"),  # the pages of other projects are not fetched
    (r"py:.*", r"astrometry_client\..*\.(T|Result)"),  # type variables
    (r"py:.*", r"astrometry_client\.session\.slots\..*"),  # between the limiter and its stores
    (r"py:.*", r"astrometry_client\.ledger\..*"),  # between the ledger and a batch
    (r"py:.*", r"astrometry_client\.aio\.operations\..*"),  # between an async client and its threads
    (r"py:.*", r"astrometry_client\.config\.NotGiven"),  # tells "not given" from "off"
]

autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "GL06",  # a section nobody knows
    "GL07",  # sections out of order
    "GL08",  # no docstring
    "GL10",  # a directive written wrongly
    "SS01",  # no first line
    "PR02",  # a parameter that does not exist
    "PR03",  # parameters out of order
    "PR07",  # a parameter without a meaning
    "RT03",  # a return value without a meaning
    "YD01",  # a generator without its Yields
}

html_theme = "pydata_sphinx_theme"
html_title = project
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
html_show_sourcelink = False


def skip_errors(app: Sphinx, _what: str, _name: str, obj: Any, *_: Any) -> bool | None:
    """Keep the error classes to their own page."""
    on_own_page = app.env.current_document.docname == "errors"
    is_error = isinstance(obj, type) and issubclass(obj, AstrometryError)
    return True if is_error and not on_own_page else None


def setup(app: Sphinx) -> None:
    """Register what autodoc asks."""
    app.connect("autodoc-skip-member", skip_errors)
