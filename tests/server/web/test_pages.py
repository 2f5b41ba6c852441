"""Pages are well-formed and harmless, whatever a file is named."""

import itertools
import re
from html.parser import HTMLParser

import attrs
import pytest
import requests
from live_server import DEADLINE_S, Api, until
from tars import packed
from toy_engines import SOLVED, UNSOLVED

from astrometry_client.server.run import LocalServer

HOSTILE = "<img src=x onerror=alert(1)>'><script>alert(2)&amp;.fits"
VOID = {"meta", "link", "img", "input", "br"}
FETCHED = {"href", "src"}


@attrs.define
class Page(HTMLParser):
    """A page, checked while it is read."""

    tags: list[tuple[str, dict[str, str | None]]] = attrs.field(factory=list)
    texts: dict[str, str] = attrs.field(factory=dict)
    _open: list[str] = attrs.field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def read(cls, html: str) -> "Page":
        page = cls()
        page.feed(html)
        page.close()
        assert page._open == []
        return page

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes), (tag, attributes)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def source_list(count: int) -> bytes:
    return "".join(f"{number} {number}\n" for number in range(1, count + 1)).encode()


@pytest.fixture(scope="module")
def images(server: LocalServer) -> dict[str, str]:
    """Return the addresses of a page of each kind."""
    api = Api.login(server.url, server.api_key)
    addresses = {"home": "/"}
    for kind, content in (
        ("solved", source_list(SOLVED)),
        ("failed", source_list(UNSOLVED)),
        ("unread", b"a letter"),
        ("several", packed({"one.xy": source_list(SOLVED), HOSTILE: source_list(UNSOLVED)})),
    ):
        submission_id = api.upload(content, HOSTILE)
        until(lambda number=submission_id: states(api, number), {"solved", "failed"}.issuperset)
        addresses[kind] = f"/status/{submission_id}"
    return addresses


def states(api: Api, submission_id: int) -> set[str]:
    entries = api.get(f"web/list?submission={submission_id}").json()["entries"]
    return {entry["state"] for entry in entries}


KINDS = ("home", "solved", "failed", "unread", "several")


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_well_formed_and_in_order(server: LocalServer, images: dict[str, str], kind: str) -> None:
    reply = requests.get(server.url + images[kind], timeout=DEADLINE_S)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Page.read(reply.text)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    spoken = " ".join(page.values("aria-labelledby") + page.values("aria-describedby") + page.values("for"))
    assert set(spoken.split()) <= set(ids)
    assert all(attributes.get("alt") is not None for tag, attributes in page.tags if tag == "img")


@pytest.mark.parametrize("kind", KINDS)
def test_every_address_in_a_page_exists(server: LocalServer, images: dict[str, str], kind: str) -> None:
    page = Page.read(requests.get(server.url + images[kind], timeout=DEADLINE_S).text)
    addresses = {value for name in FETCHED for value in page.values(name) if not value.startswith("#")}
    assert all(re.match(r"/(?!/)", address) for address in addresses)
    for address in addresses:
        reply = requests.get(server.url + address, headers={"referer": server.url}, timeout=DEADLINE_S)
        assert (address, reply.status_code, "Not Found" in reply.text[:200]) == (address, 200, False)


@pytest.mark.parametrize("kind", ["solved", "failed", "unread"])
def test_name_of_a_file_is_text(server: LocalServer, images: dict[str, str], kind: str) -> None:
    page = Page.read(requests.get(server.url + images[kind], timeout=DEADLINE_S).text)
    assert page.texts["h1"] == HOSTILE
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert [attributes["src"] for tag, attributes in page.tags if tag == "script"] == ["/web/page.js"]
    assert not page.values("style")
    assert "x" not in page.values("src")


def test_page_of_several_images_lists_them(server: LocalServer, images: dict[str, str]) -> None:
    page = Page.read(requests.get(server.url + images["several"], timeout=DEADLINE_S).text)
    number = images["several"].rpartition("/")[2]
    assert page.texts["h1"] == f"Submission {number}"
    assert page.values("data-submission") == [number]


def test_reason_of_a_failure_has_the_name_of_the_file(server: LocalServer, images: dict[str, str]) -> None:
    page = Page.read(requests.get(server.url + images["unread"], timeout=DEADLINE_S).text)
    assert f"{HOSTILE}: not an image" in page.texts["span"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "web/page.js",
        "web/list",
        "status/99999999",
        "api/jobs/99999999",
        "api/login",
        "nowhere",
        "joblog/1",
    ],
)
def test_nothing_but_files_of_this_server_runs_in_a_page(server: LocalServer, path: str) -> None:
    headers = requests.get(f"{server.url}/{path}", timeout=DEADLINE_S).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert {value for name, value in policy.items() if name.endswith("-src")} == {"'none'", "'self'"}
    assert headers["x-content-type-options"] == "nosniff"


def test_page_of_an_only_image_is_found_under_its_submission(
    server: LocalServer, images: dict[str, str], api: Api
) -> None:
    submission_id = api.upload(source_list(SOLVED), "one.xy")
    api.solve(submission_id)
    for slash in ("", "/"):
        reply = requests.get(f"{server.url}/status/{submission_id}{slash}", timeout=DEADLINE_S)
        assert re.fullmatch(rf"{server.url}/user_images/\d+", reply.url)
        assert Page.read(reply.text).texts["h1"] == "one.xy"


@pytest.mark.parametrize("path", ["status/99999999", "user_images/99999999"])
def test_what_does_not_exist_is_not_found(api: Api, path: str) -> None:
    assert api.get(path).status_code == 404


def test_calibration_is_told_for_people(server: LocalServer, images: dict[str, str]) -> None:
    html = requests.get(server.url + images["solved"], timeout=DEADLINE_S).text
    for text in ("00h 40m 00.0s", "10.00000°", "+20° 00′ 00.0″", "1.000° × 30.00′", "100 × 50 pixels"):
        assert text in html


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")],
)
def test_file_of_the_page_is_sent_once(server: LocalServer, name: str, media_type: str) -> None:
    first = requests.get(f"{server.url}/web/{name}", timeout=DEADLINE_S)
    assert first.headers["content-type"].partition(";")[0] == media_type
    again = {"if-none-match": first.headers["etag"]}
    assert requests.get(f"{server.url}/web/{name}", headers=again, timeout=DEADLINE_S).status_code == 304
