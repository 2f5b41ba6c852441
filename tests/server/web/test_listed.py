"""The list as JSON: whose it is, and what it costs while nothing changes."""

from typing import Any

import pytest
import requests
from live_server import DEADLINE_S, Api
from toy_engines import SOLVED

from astrometry_client.server.run import LocalServer


def ask(api: Api, session_key: str | None = None, **more: Any) -> requests.Response:
    headers = {"authorization": f"Bearer {session_key or api.session_key}", **more.pop("headers", {})}
    return requests.get(f"{api.url}/web/list", params=more, headers=headers, timeout=DEADLINE_S)


def test_solved_image_is_listed_with_its_place(api: Api) -> None:
    submission_id = api.upload_sources(SOLVED)
    api.solve(submission_id)
    document = ask(api, submission=submission_id).json()
    (entry,) = document["entries"]
    assert document["counts"] == {"queued": 0, "solving": 0, "solved": 1, "failed": 0}
    assert document["pages"] == 1
    assert (entry["name"], entry["state"], entry["reason"]) == ("json-xy", "solved", None)
    assert (entry["place"], entry["size"]) == ("00h 40m 00.0s +20° 00′ 00.0″", "1.000° × 30.00′")
    assert ask(api, image=entry["key"].removeprefix("image-")).json()["entries"] == [entry]


def test_list_of_a_user_needs_a_session(server: LocalServer) -> None:
    nobody = requests.get(f"{server.url}/web/list", timeout=DEADLINE_S)
    stranger = ask(Api(server.url, "nonsense"))
    assert (nobody.status_code, stranger.status_code) == (401, 401)
    assert "entries" not in nobody.text + stranger.text


def test_unchanged_list_is_not_sent_again(api: Api) -> None:
    submission_id = api.upload_sources(SOLVED)
    api.solve(submission_id)
    first = ask(api)
    known = {"if-none-match": first.headers["etag"]}
    again = ask(api, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    api.upload_sources(SOLVED)
    assert ask(api, headers=known).status_code == 200


def test_list_known_to_one_user_is_not_confirmed_to_nobody(api: Api) -> None:
    known = {"if-none-match": ask(api).headers["etag"]}
    assert ask(api, "nonsense", headers=known).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        {"page": "x"},
        {"page": "-1"},
        {"page": "1" * 30},
        {"state": "lost"},
        {"image": "½"},
        {"submission": ""},
    ],
)
def test_nonsense_is_refused(api: Api, query: dict[str, str]) -> None:
    assert ask(api, **query).status_code == 400
