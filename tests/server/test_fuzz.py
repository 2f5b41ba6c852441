"""Whatever is asked, the server answers as the contract says, and goes on."""

import json
import re
import string
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings, strategies as st
from live_server import Api

from astrometry_client.models import Settings
from astrometry_client.server import api as endpoints, results
from astrometry_client.server.run import LocalServer

API = [f"api/{name}" for name in endpoints.ENDPOINTS]
FILES = list(results.ENDPOINTS)
OPTIONS = ["session", "apikey", "url", "x", "y", "subid", *(option.wire for option in Settings.describe())]

IDS = st.one_of(
    st.integers(-10, 50).map(str),
    st.integers(min_value=-(10**30), max_value=10**30).map(str),
    st.sampled_from(["1-2", "--", "1.5", "%31", "0x1", "１", "1;2", "..", "a" * 3000]),
    st.text(string.printable, max_size=10),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["1", "nan", "1e999", "\0", "\ud800", "'; DROP TABLE jobs; --", "http://127.0.0.1:1/", "a" * 5000]
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)
DOCUMENTS = st.one_of(st.dictionaries(st.sampled_from(OPTIONS), JSON, max_size=6), JSON)
CONTENTS = st.binary(max_size=300) | st.sampled_from(
    [b"SIMPLE  =", b"\x1f\x8b\x08", b"1 1\n" * 20, b"BZh9", b"GIF89a"]
)
NAMES = st.text(max_size=30)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])

SESSION = "the key of a session"

REQUIRES_ID = re.compile(r"\{id\}")


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    """Return the arguments of one request, more or less as they should be."""
    path = draw(st.sampled_from([*API, *FILES, "", "api/", "api/nothing", "static/../api", "status/{id}"]))
    path = REQUIRES_ID.sub(lambda _: draw(IDS), path) + draw(
        st.sampled_from(["", "/", "//", "?nbright=x", "?query=%"])
    )
    request: dict[str, Any] = {"method": draw(METHODS), "url": path, "headers": {}}
    if draw(st.booleans()):
        request["headers"]["Referer"] = "x"
    body = draw(st.sampled_from(["form", "file", "raw", "none"]))
    document = draw(DOCUMENTS)
    if isinstance(document, dict) and draw(st.integers(0, 3)):
        document["session"] = SESSION
    text = draw(st.sampled_from([json.dumps(document), json.dumps(document)[:-1], repr(document)]))
    if body in ("form", "file"):
        request["data"] = {"request-json": text.encode("utf-8", "replace")}
    if body == "file":
        request["files"] = {"file": (draw(NAMES) or "a", draw(CONTENTS))}
    if body == "raw":
        request["data"] = draw(st.binary(max_size=500))
        request["headers"]["Content-Type"] = draw(
            st.sampled_from(
                ["multipart/form-data; boundary=B", "application/x-www-form-urlencoded", "a;b=c;;", ""]
            )
        )
    return request


@pytest.fixture(scope="module")
def fuzzed(toy_dir: object) -> Iterator[tuple[LocalServer, Api, requests.Session]]:
    with LocalServer(engine="toy_engines:toy", workers=1) as server, requests.Session() as session:
        yield server, Api.login(server.url, server.api_key), session


def check(fuzzed: tuple[LocalServer, Api, requests.Session], request: dict[str, Any]) -> None:
    server, api, session = fuzzed
    sent = {**request, "url": f"{server.url}/{request['url']}"}
    if isinstance(sent.get("data"), dict):
        text = sent["data"]["request-json"].replace(SESSION.encode(), api.session_key.encode())
        sent["data"] = {"request-json": text}
    reply = session.request(**sent, timeout=30, allow_redirects=False)
    assert reply.status_code in (200, 302, 304, 400, 403, 404, 405, 413, 500), reply.text
    if reply.status_code == 500 and request["method"] != "HEAD":
        assert "Server Error (500)" in reply.text  # said on purpose, as nova does
    if reply.headers["content-type"] == "text/plain" and reply.text.startswith("{"):
        reply.json()
    assert "Traceback" not in server.messages, server.messages[-3000:]


@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(request=asked())
def test_whatever_is_asked_is_answered(
    fuzzed: tuple[LocalServer, Api, requests.Session], request: dict[str, Any]
) -> None:
    check(fuzzed, request)


@pytest.mark.soak
@settings(max_examples=5_000, suppress_health_check=list(HealthCheck))
@given(request=asked())
def test_whatever_is_asked_for_minutes_is_answered(
    fuzzed: tuple[LocalServer, Api, requests.Session], request: dict[str, Any]
) -> None:
    check(fuzzed, request)


def test_server_still_solves(fuzzed: tuple[LocalServer, Api, requests.Session]) -> None:
    _, api, _ = fuzzed
    assert api.ended(api.upload_sources(10)) == ["success"]
