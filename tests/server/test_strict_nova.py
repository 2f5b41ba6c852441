"""Bad habits of nova are kept where they are asked for, and mended elsewhere."""

from collections.abc import Iterator

import pytest
import requests
from live_server import DEADLINE_S, Api

from astrometry_client.testing import UNSOLVED, NovaServer, Place, TableEngine

TABLE = TableEngine({"dark": UNSOLVED}, otherwise=lambda _: Place(1.0, 2.0, objects=("M 31", "M 32")))


def logged_in(*, strict_nova: bool) -> Iterator[Api]:
    with NovaServer(engine=TABLE, strict_nova=strict_nova) as server:
        yield Api.login(server.url, server.api_key)


@pytest.fixture
def strict() -> Iterator[Api]:
    yield from logged_in(strict_nova=True)


@pytest.fixture
def mended() -> Iterator[Api]:
    yield from logged_in(strict_nova=False)


@pytest.mark.parametrize("path", ["no/such/page", "api/no_such_call", "api/jobs/1-2", "wcs_file/one"])
def test_unknown_address(strict: Api, mended: Api, path: str) -> None:
    assert mended.get(path).status_code == 404
    shown = strict.get(path)
    assert shown.status_code == (500 if "1-2" in path else 200)
    assert shown.headers["Content-Type"].startswith("text/html")


def test_unknown_address_of_a_write(strict: Api, mended: Api) -> None:
    seen = [requests.post(f"{api.url}/no/such/page", timeout=DEADLINE_S) for api in (strict, mended)]
    assert [reply.status_code for reply in seen] == [403, 404]


def test_malformed_login_is_echoed_with_its_key_if_strict(strict: Api, mended: Api) -> None:
    told = [
        requests.post(f"{api.url}/api/login", data={"request-json": '{"apikey": "key'}, timeout=DEADLINE_S)
        for api in (strict, mended)
    ]
    assert ['"key' in reply.json()["errormessage"] for reply in told] == [True, False]
    assert all("failed to parse JSON" in reply.json()["errormessage"] for reply in told)


def test_null_breaks_the_strict_one(strict: Api, mended: Api) -> None:
    seen = [api.call("upload", {"session": api.session_key, "center_ra": None}) for api in (strict, mended)]
    assert [reply.status_code for reply in seen] == [500, 200]
    assert seen[1].json()["status"] == "success"


def test_job_is_listed_once_for_each_tag_if_strict(strict: Api, mended: Api) -> None:
    found = []
    for api in (strict, mended):
        api.solve(api.upload(b"x"))
        found.append(api.get("api/jobs_by_tag?query=m").json()["job_ids"])
    assert found == [[1, 1], [1]]


def test_file_that_cannot_be_made(strict: Api, mended: Api) -> None:
    seen = []
    for api in (strict, mended):
        api.ended(api.upload(b"x", "dark"))
        seen.append(api.get("new_fits_file/1", headers={"Referer": api.url}))
    assert [reply.status_code for reply in seen] == [200, 500]
    assert "plot failed" in seen[0].text
