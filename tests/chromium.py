"""A headless Chromium, in the hands of a test."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from astrometry_client.server.run import LocalServer

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
"""Of Debian's packages chromium and chromium-driver."""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

DEADLINE_S = 60.0

DROP = """
const [name, content, target] = arguments;
const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], name));
for (const kind of ["dragenter", "dragover", "drop"]) {
  target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}
"""

LOADED = """
const image = document.querySelector(".view img");
return image.complete && image.naturalWidth ? image.src : null;
"""

ENTRY = """
const [name, state] = arguments;
const items = [...document.querySelectorAll(".entries li")];
const item = items.find((item) => item.firstChild.textContent === name);
return item?.querySelector(".state").textContent === state ? item : null;
"""


class Browser:
    """What a person does with a browser."""

    def __init__(self, driver: webdriver.Chrome, server: LocalServer) -> None:
        self.driver, self.server = driver, server

    def open(self, path: str = "/") -> None:
        self.driver.get(self.server.url + path)

    def log_in(self) -> None:
        self.open()
        self.type("#key", self.server.api_key + Keys.ENTER)
        self.until(lambda: self.shown("#choose") and (self.shown(".empty") or self.shown(".entries")))

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def shown(self, css: str) -> bool:
        return any(element.is_displayed() for element in self.all(css))

    def text(self, css: str) -> str:
        return self.find(css).text

    def click(self, css: str) -> None:
        self.find(css).click()

    def type(self, css: str, text: str) -> None:
        self.find(css).send_keys(text)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def until(self, reached: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, DEADLINE_S, poll_frequency=0.05).until(lambda _: reached())

    def choose(self, path: Path) -> None:
        """Give a file to the file button."""
        self.type("#files", str(path))

    def drop(self, name: str, content: bytes) -> None:
        self.run(DROP, name, base64.b64encode(content).decode(), self.find("#choose"))

    def entry(self, name: str, state: str) -> WebElement:
        """Return the newest entry of this name when it is in this state."""

        return self.until(lambda: self.run(ENTRY, name, state))

    def picture(self) -> str:
        """Return the address of the picture when it is loaded."""
        self.until(lambda: not self.all(".view.waiting"))
        return str(self.until(lambda: self.run(LOADED)))

    def look(self, *, width_px: int = 1280, scheme: str = "light") -> None:
        """Look through a window of this width, in this scheme of colours."""
        size = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": width_px < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def slow(self, *, upload_bytes_per_s: int = -1) -> None:
        """Send no faster than this; -1 is as fast as it goes."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        network = {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": upload_bytes_per_s,
        }
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", network)

    def fetch(self, css: str) -> bytes:
        """Return the file a link leads to, asked for by the page itself."""
        script = """
            const [link, done] = arguments;
            fetch(link.href).then((reply) => reply.blob()).then((blob) => {
              const reader = new FileReader();
              reader.onload = () => done(reader.result.split(",")[1] ?? "");
              reader.readAsDataURL(blob);
            });
        """
        return base64.b64decode(self.driver.execute_async_script(script, self.find(css)))

    def complaints(self) -> list[str]:
        """Return what stands in the console since the last look."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def barriers(self) -> list[str]:
        """Return what axe finds in the way of readers."""
        found = Axe().run(self.driver)["violations"]
        return [f"{rule['id']}: {json.dumps(node['target'])}" for rule in found for node in rule["nodes"]]


def start(profile: Path) -> webdriver.Chrome:
    """Return a new Chromium; it fails where there is none."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(DEADLINE_S)
    return driver
