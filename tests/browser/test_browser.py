"""The web page in a browser: what people do with it, with a mouse, a keyboard or a screen reader."""

import json
from pathlib import Path

import pytest
from chromium import Browser
from live_server import Api
from selenium.webdriver.common.keys import Keys
from tars import packed

from astrometry_client.server.run import LocalServer

ORION = Path(__file__).parents[2] / "examples" / "orion.jpg"
HOSTILE = "<img src=x onerror=document.title='taken'>.fits"

VIEWS = [(width_px, scheme) for width_px in (320, 390, 1280) for scheme in ("light", "dark")]


@pytest.fixture(scope="session")
def pages(nova: LocalServer, noise: Path) -> dict[str, str]:
    """Return the addresses of a page of each kind."""
    api = Api.login(nova.url, nova.api_key)
    solved = api.upload(
        ORION.read_bytes(), "orion.jpg", scale_units="degwidth", scale_lower=20, scale_upper=60
    )
    failed = api.upload(
        noise.read_bytes(), "noise.png", scale_units="degwidth", scale_lower=20, scale_upper=60
    )
    unread = api.upload(b"a letter", HOSTILE)
    several = api.upload(packed({"noise.png": noise.read_bytes(), HOSTILE: noise.read_bytes()}), "night.tar")
    assert api.ended(solved) == ["success"]
    assert api.ended(failed) == ["failure"]
    assert api.ended(several) == ["failure", "failure"]
    api.read(unread)
    return {
        "home": "/",
        "solved": f"/status/{solved}",
        "failed": f"/status/{failed}",
        "unread": f"/status/{unread}",
        "several": f"/status/{several}",
    }


def test_image_chosen_with_options_is_solved_and_shown(browser: Browser, tmp_path: Path) -> None:
    image = tmp_path / "chosen.jpg"
    image.write_bytes(ORION.read_bytes())
    browser.log_in()
    browser.click("#options summary")
    browser.type("#scale_lower", "20")
    browser.type("#scale_upper", "60")
    browser.choose(image)
    entry = browser.entry("chosen.jpg", "solved")
    assert "20 to 60° wide" in browser.text("#options summary")
    assert "28.00° × 20.00°" in entry.text
    assert browser.text("#said") == "chosen.jpg: solved"
    entry.find_element("tag name", "a").click()
    assert browser.until(lambda: browser.text("h1")) == "chosen.jpg"
    assert "05h 35m 12" in browser.text("table")
    assert "Betelgeuse" in browser.text(".objects")
    addresses = [browser.picture()]
    for radio in browser.all(".layers input"):
        radio.click()
        addresses.append(browser.picture())
        assert browser.find(".view img").get_attribute("alt").startswith("chosen.jpg. ")
    assert len(set(addresses)) == 4
    browser.click("#zoom")
    assert browser.picture().rpartition("/")[0].endswith("/image_full")
    assert browser.run("return document.querySelector('.view').scrollWidth") == 1400


@pytest.mark.parametrize("product", ["wcs_file", "new_fits_file", "axy_file", "rdls_file", "corr_file"])
def test_result_is_downloaded_from_the_page(browser: Browser, pages: dict[str, str], product: str) -> None:
    browser.open(pages["solved"])
    assert browser.fetch(f'.downloads a[href^="/{product}/"]').startswith(b"SIMPLE  =")


def test_dropped_image_is_uploaded_and_its_failure_explained(browser: Browser, noise: Path) -> None:
    browser.log_in()
    browser.drop("dropped.png", noise.read_bytes())
    browser.entry("dropped.png", "failed").find_element("tag name", "a").click()
    assert browser.until(lambda: browser.text("h1")) == "dropped.png"
    assert "What to try" in browser.text("article")
    assert "failure" in browser.text("pre")
    assert "/extraction_image_display/" in browser.picture()


def test_name_of_a_dropped_file_is_text(browser: Browser) -> None:
    browser.log_in()
    title = browser.driver.title
    browser.drop(HOSTILE, b"a letter")
    entry = browser.entry(HOSTILE, "failed")
    assert browser.driver.title == title
    entry.find_element("tag name", "a").click()
    assert browser.until(lambda: browser.text("h1")) == HOSTILE
    assert browser.all("img[src=x]") == []


def test_images_that_others_upload_appear_by_themselves(browser: Browser) -> None:
    browser.log_in()
    Api.login(browser.server.url, browser.server.api_key).upload(b"a letter", "elsewhere.fits")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.entry("elsewhere.fits", "failed")


def test_page_of_an_image_shows_its_end_by_itself(browser: Browser) -> None:
    api = Api.login(browser.server.url, browser.server.api_key)
    submission_id = api.upload(ORION.read_bytes(), "later.jpg")
    api.read(submission_id)
    (image,) = api.submission(submission_id)["images"]
    browser.open(f"/user_images/{image}")
    browser.until(lambda: browser.all("article[data-state=solved]"))
    assert browser.picture()


def test_nothing_is_asked_while_nobody_looks(browser: Browser) -> None:
    browser.log_in()
    browser.run(
        "const ask = fetch; asked = 0; window.fetch = (...what) => { asked += 1; return ask(...what); }"
    )
    browser.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    before = browser.run("document.dispatchEvent(new Event('visibilitychange')); return asked")
    assert browser.run("return asked") == before
    browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    assert browser.run("return asked") == before + 1


def test_key_is_kept_nowhere(browser: Browser) -> None:
    browser.log_in()
    kept = browser.run("return [document.cookie, location.href, {...localStorage}, {...sessionStorage}]")
    assert browser.server.api_key not in str(kept)
    assert browser.find("#key").get_attribute("value") == ""
    browser.click("#leave")
    assert browser.shown("#key")
    assert not browser.shown("#choose")
    assert browser.run("return sessionStorage.length") == 0


def test_options_are_sent_in_the_words_of_the_api(browser: Browser) -> None:
    browser.log_in()
    browser.click("#options summary")
    texts = {
        "scale_lower": "15",
        "scale_upper": "30.5",
        "center_ra": "05:36",
        "center_dec": "-1:30",
        "radius": "4",
    }
    for name, text in {**texts, "downsample_factor": "3"}.items():
        browser.type(f"#{name}", text)
    browser.type("#scale_units", "width in arc")
    browser.type("#parity", "negative")
    browser.run("XMLHttpRequest.prototype.send = (form) => { window.sent = form.get('request-json'); }")
    browser.drop("sky.fits", b"")
    sent = json.loads(browser.until(lambda: browser.run("return window.sent")))
    assert sent.pop("session")
    assert sent == {
        "scale_type": "ul",
        "scale_units": "arcminwidth",
        "scale_lower": 15,
        "scale_upper": 30.5,
        "center_ra": 84.0,
        "center_dec": -1.5,
        "radius": 4,
        "downsample_factor": 3,
        "parity": 0,
    }


def test_upload_shows_its_progress_and_can_be_stopped(browser: Browser) -> None:
    browser.log_in()
    browser.slow(upload_bytes_per_s=200_000)
    browser.drop("large.fits", b"0" * 2_000_000)
    browser.until(lambda: 0.0 < float(browser.find("progress").get_attribute("value")) < 1.0)
    assert "%" in browser.text("#uploads .said")
    browser.click("#uploads button")
    browser.until(lambda: "Stopped." in browser.text("#uploads"))
    browser.click("#uploads button")
    assert browser.all("#uploads li") == []
    browser.slow()


def test_file_that_is_too_large_is_not_sent(browser: Browser) -> None:
    browser.log_in()
    browser.run("document.querySelector('#files').dataset.largest = 1000")
    browser.drop("large.fits", b"0" * 1001)
    browser.until(lambda: "larger than this server takes" in browser.text("#uploads"))


def test_long_list_has_pages_and_can_be_narrowed(browser: Browser, open_server: LocalServer) -> None:
    api = Api.login(open_server.url, "anyone")
    last = [api.upload(b"a letter", f"{number}.fits") for number in range(55)][-1]
    api.read(last)
    browser.driver.get(open_server.url)
    browser.until(lambda: len(browser.all(".entries li")) == 50)
    browser.click("#older")
    browser.until(lambda: len(browser.all(".entries li")) < 50)
    assert browser.find("#older").get_attribute("disabled")
    browser.click("[data-state=failed]")
    browser.until(lambda: len(browser.all(".entries li")) == 50)
    browser.click("[data-state=solved]")
    browser.until(lambda: browser.text(".empty") == "No image is solved.")
    assert browser.all(".filters [aria-pressed=true]") == [browser.find("[data-state=solved]")]


def test_focus_stays_while_the_list_changes(browser: Browser, open_server: LocalServer) -> None:
    api = Api.login(open_server.url, "anyone")
    api.read(api.upload(b"a letter", "first.fits"))
    browser.driver.get(open_server.url)
    link = browser.entry("first.fits", "failed").find_element("tag name", "a")
    browser.run("arguments[0].focus()", link)
    api.read(api.upload(b"a letter", "second.fits"))
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.entry("second.fits", "failed")
    assert browser.driver.switch_to.active_element == link
    assert browser.text("#said") == "second.fits: failed"


def test_server_for_anyone_asks_for_no_key(browser: Browser, open_server: LocalServer) -> None:
    browser.driver.get(open_server.url)
    browser.until(lambda: browser.shown("#choose"))
    assert not browser.shown("#key")
    assert not browser.shown("#leave")
    browser.drop("letter.fits", b"a letter")
    browser.entry("letter.fits", "failed")


def test_unreachable_server_is_told_and_the_list_stays(browser: Browser) -> None:
    with LocalServer(allow_anyone=True, workers=1) as server:
        browser.driver.get(server.url)
        browser.until(lambda: browser.shown(".empty"))
        browser.drop("letter.fits", b"a letter")
        browser.entry("letter.fits", "failed")
    browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(lambda: browser.shown("#trouble"))
    assert browser.entry("letter.fits", "failed")
    browser.drop("unsent.fits", b"a letter")
    browser.until(lambda: "could not be sent" in browser.text("#uploads"))
    assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in browser.complaints())


def test_wrong_key_is_told_at_its_field(browser: Browser) -> None:
    browser.open()
    browser.type("#key", "nonsense" + Keys.ENTER)
    browser.until(lambda: "bad apikey" in browser.text("#key-error"))
    assert browser.driver.switch_to.active_element == browser.find("#key")


def test_stale_login_asks_for_the_key_again(browser: Browser) -> None:
    browser.open()
    browser.run("sessionStorage.setItem('session', 'stale')")
    browser.open()
    browser.until(lambda: "login has ended" in browser.text("#key-error"))
    assert all("401" in complaint for complaint in browser.complaints())


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scale_lower": "30", "scale_upper": "20"}, "scale_upper"),
        ({"center_ra": "05:35:17"}, "center_dec"),
        ({"center_ra": "25:00:00", "center_dec": "0", "radius": "1"}, "center_ra"),
        ({"center_ra": "1", "center_dec": "-90:00:01", "radius": "1"}, "center_dec"),
        ({"center_ra": "1", "center_dec": "east", "radius": "1"}, "center_dec"),
        ({"downsample_factor": "0"}, "downsample_factor"),
    ],
)
def test_wrong_option_is_told_before_anything_is_sent(
    browser: Browser, values: dict[str, str], field: str
) -> None:
    browser.log_in()
    browser.click("#options summary")
    for name, value in values.items():
        browser.type(f"#{name}", value)
    browser.click("#options summary")
    browser.drop("unsent.fits", b"")
    assert browser.driver.switch_to.active_element == browser.find(f"#{field}")
    assert browser.find(f"#{field}").get_attribute("validationMessage")
    assert browser.all("#uploads li") == []


@pytest.mark.parametrize(
    ("ra", "dec", "told"),
    [
        ("05:35:17.3", "-05 23 28", "83.8221° -5.3911°"),
        ("5h 35m 17.3s", "−0° 30′", "83.8221° -0.5000°"),
        ("83.8", "-0.5", "83.8000° -0.5000°"),
    ],
)
def test_position_is_taken_as_astronomers_write_it(browser: Browser, ra: str, dec: str, told: str) -> None:
    browser.log_in()
    browser.click("#options summary")
    for name, value in (("center_ra", ra), ("center_dec", dec), ("radius", "3")):
        browser.type(f"#{name}", value)
    browser.press(Keys.TAB)
    assert f"within 3° of {told}" in browser.text("#options summary")


@pytest.mark.parametrize(("width_px", "scheme"), VIEWS)
@pytest.mark.parametrize("kind", ["login", "home", "solved", "failed", "unread", "several"])
def test_page_can_be_read_at_every_width_in_both_schemes(
    browser: Browser, pages: dict[str, str], kind: str, width_px: int, scheme: str
) -> None:
    browser.look(width_px=width_px, scheme=scheme)
    if kind == "home":
        browser.log_in()
        browser.click("#options summary")
    else:
        browser.open(pages.get(kind, "/"))
    if kind == "solved":
        browser.picture()
    if kind == "several":
        browser.until(lambda: len(browser.all(".entries li")) == 2)
    assert browser.run("return document.documentElement.scrollWidth") <= width_px
    assert browser.barriers() == []


FOCUS = """
const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
const box = document.activeElement.getBoundingClientRect();
return [outlineStyle !== "none" && parseFloat(outlineWidth) >= 2, box.width > 0 && box.top < innerHeight];
"""

REACHABLE = """
const elements = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")];
const reachable = (element) => !element.disabled && (element.type !== "radio" || element.checked);
return elements.filter((element) => element.checkVisibility() && reachable(element));
"""


@pytest.mark.parametrize("kind", ["login", "home", "solved", "failed"])
def test_everything_is_reached_by_keyboard_with_visible_focus(
    browser: Browser, pages: dict[str, str], kind: str
) -> None:
    if kind == "home":
        browser.log_in()
        browser.click("#options summary")
    else:
        browser.open(pages.get(kind, "/"))
    wanted = browser.run(REACHABLE)
    reached = []
    for _ in range(len(wanted) + 2):  # the page itself has a turn between its end and its beginning
        browser.press(Keys.TAB)
        reached.append(browser.driver.switch_to.active_element)
        if reached[-1].tag_name != "body":
            assert browser.run(FOCUS) == [True, True], reached[-1].get_attribute("outerHTML")
    assert [element.get_attribute("outerHTML") for element in wanted if element not in reached] == []


def test_keyboard_alone_uploads_and_looks_at_pictures(browser: Browser, pages: dict[str, str]) -> None:
    browser.open()
    browser.press(browser.server.api_key, Keys.ENTER)
    browser.until(lambda: browser.driver.switch_to.active_element == browser.find("#choose"))
    browser.run(
        "const open = (event) => { event.preventDefault(); window.opened = 1; };"
        "document.querySelector('#files').addEventListener('click', open);"
    )
    browser.press(Keys.SPACE)
    assert browser.run("return window.opened") == 1
    browser.entry("orion.jpg", "solved").find_element("tag name", "a").send_keys(Keys.ENTER)
    browser.until(lambda: browser.all(".layers"))
    browser.find(".layers input").send_keys(Keys.ARROW_RIGHT)
    assert "/red_green_image_display/" in browser.picture()
    browser.find("#zoom").send_keys(Keys.SPACE)
    assert browser.find("#zoom").get_attribute("aria-pressed") == "true"
    assert "/red_green_image_full/" in browser.picture()


def test_skip_link_leads_past_the_header(browser: Browser) -> None:
    browser.open()
    browser.find("#key").send_keys(Keys.SHIFT + Keys.TAB + Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to content"
    browser.press(Keys.ENTER)
    assert browser.driver.switch_to.active_element == browser.find("main")
