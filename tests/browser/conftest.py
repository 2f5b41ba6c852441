"""A browser, and the pages of a server with its real solver."""

from collections.abc import Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest
from PIL import Image
from selenium import webdriver

from astrometry_client.server.run import LocalServer


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium.start(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def open_server() -> Iterator[LocalServer]:
    """Run a server that asks nobody for a key."""
    with LocalServer(allow_anyone=True, workers=1) as server:
        yield server


@pytest.fixture
def browser(driver: webdriver.Chrome, nova: LocalServer) -> Iterator[chromium.Browser]:
    """Return a browser whose console stays empty during the test."""
    browser = chromium.Browser(driver, nova)
    browser.look()
    browser.open()
    browser.run("sessionStorage.clear()")
    browser.complaints()
    yield browser
    assert browser.complaints() == []


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image without stars."""
    path = tmp_path_factory.mktemp("images") / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 400), dtype=np.uint8)).save(path)
    return path
