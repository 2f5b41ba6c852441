"""What is stored, under which key, and that nothing else is; over a real socket."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from faulty_server import Answer, FaultyServer, answer_json

from astrometry_client.errors import NotAvailable, NotFound
from astrometry_client.session import ClientSession, cache_info, cache_path, clear_cache
from astrometry_client.session.caching import ReplyCache, public_url, shared_cache

CALIBRATION = answer_json({"ra": 1.0, "dec": 2.0, "radius": 3.0})
FITS = Answer(body=b"SIMPLE  =                    T".ljust(2880), kind="application/fits")
BIG_FITS = Answer(body=b"SIMPLE  =                    T".ljust(2880 * 400), kind="application/fits")


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[ClientSession]:
    """Return a session with a cache, which on the loopback must be asked for."""
    with ClientSession(tmp_path / "replies.sqlite", max_retries=0) as session:
        yield session


def _hits(session: ClientSession, url: str, **options: Any) -> list[bool]:
    return [session.get(url, raise_for_status=False, **options).from_cache for _ in range(2)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/jobs/1/calibration", CALIBRATION),
        ("/api/jobs/1/calibration/", CALIBRATION),
        ("/prefix/api/jobs/1/annotations", answer_json({"annotations": []})),
        ("/api/jobs/1/info", answer_json({"status": "success"})),
        ("/wcs_file/1", FITS),
        ("/new_fits_file/1", BIG_FITS),
    ],
)
def test_final_reply_is_stored(
    server: FaultyServer, cached: ClientSession, path: str, answer: Answer
) -> None:
    server.default = answer
    assert _hits(cached, server.url + path) == [False, True]
    assert len(server.arrivals) == 1
    assert cached.get(server.url + path).content == answer.body


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/api/jobs/1", answer_json({"status": "success"})),
        ("/api/submissions/1", answer_json({"jobs": [1], "job_calibrations": [[1, 1]]})),
        ("/api/jobs/1/info", answer_json({"status": "solving"})),
        ("/api/jobs/1/info", answer_json({"status": "failure"})),
        ("/api/jobs/1/calibration", answer_json({"error": "no calibration data available for job 1"})),
        ("/api/jobs/1/calibration", Answer(status=404)),
        ("/api/jobs/1/calibration", Answer(status=503)),
        ("/api/jobs/1/calibration", Answer(body=b"<html>Busy</html>", kind="text/html")),
        ("/api/jobs/1/calibration", Answer(body=b'{"ra": 1.0, "de')),
        ("/wcs_file/1", Answer(body=b"<html>Busy</html>", kind="text/html")),
        ("/wcs_file/1", Answer(body=FITS.body[:-1], kind="application/fits")),
        ("/wcs_file/1", Answer(status=500)),
        ("/status/1", Answer(body=b"<html>A page</html>", kind="text/html")),
        ("/other.json", answer_json({"x": 1})),
    ],
)
def test_anything_else_is_not_stored(
    server: FaultyServer, cached: ClientSession, path: str, answer: Answer
) -> None:
    server.default = answer
    assert _hits(cached, server.url + path) == [False, False]
    assert cached.cache.store.totals() == (0, 0)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_other_methods_pass_the_cache_by(server: FaultyServer, cached: ClientSession, method: str) -> None:
    url = f"{server.url}/api/jobs/1/calibration"
    server.default = CALIBRATION
    cached.get(url)
    for _ in range(2):
        cached.request(method, url, raise_for_status=False)
    assert [arrival.method for arrival in server.arrivals] == ["GET", method, method]


def test_upload_passes_the_cache_layer_by(
    server: FaultyServer, cached: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplyCache, "create_key", None)
    cached.post(f"{server.url}/api/upload", data={"request-json": "{}"}, files={"file": ("a", b"a")})
    assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("HTTP://Nova.Astrometry.net:80/a?b=1&a=2#c", "http://nova.astrometry.net/a?a=2&b=1"),
        ("https://user:pw@host:8443/a", "https://host:8443/a"),
        ("https://host/a?session=S&apikey=K&x=", "https://host/a?x="),
        ("http://[::1]:80/a", "http://[::1]/a"),
    ],
)
def test_key_of_an_address_holds_neither_secrets_nor_chance(url: str, plain: str) -> None:
    assert public_url(url) == plain


def test_headers_and_keys_do_not_matter_for_a_hit(server: FaultyServer, cached: ClientSession) -> None:
    server.default = CALIBRATION
    url = f"{server.url}/api/jobs/1/calibration"
    cached.get(url, headers={"Referer": "a"}, params={"session": "one"})
    assert cached.get(url, headers={"Referer": "b"}, params={"session": "two"}).from_cache  # type: ignore[attr-defined]


def test_reply_for_another_server_is_another_reply(cached: ClientSession) -> None:
    key = cached.cache.create_key
    urls = ["https://a/wcs_file/1", "http://a/wcs_file/1", "https://b/wcs_file/1", "https://a/p/wcs_file/1"]
    assert len({key(requests.Request("GET", url)) for url in urls}) == 4


def test_unverified_reply_is_kept_apart(cached: ClientSession) -> None:
    request = requests.Request("GET", "https://a/wcs_file/1")
    assert cached.cache.create_key(request, verify=False) != cached.cache.create_key(request, verify=True)


def test_vary_does_not_hide_what_was_stored(server: FaultyServer, cached: ClientSession) -> None:
    headers = {"Vary": "Cookie, Accept-Encoding", "Set-Cookie": "csrftoken=1"}
    server.default = answer_json({"annotations": []}, headers=headers)
    assert _hits(cached, f"{server.url}/api/jobs/1/annotations") == [False, True]


def test_expired_reply_is_fetched_anew(server: FaultyServer, tmp_path: Path) -> None:
    server.default = CALIBRATION
    with ClientSession(tmp_path / "replies.sqlite", expire_after=0.0001) as session:
        assert _hits(session, f"{server.url}/api/jobs/1/calibration") == [False, False]


def test_pattern_sets_the_expiry_of_other_addresses(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer_json({"x": 1})
    with ClientSession(tmp_path / "replies.sqlite", urls_expire_after={"*/catalog/*": 3600}) as session:
        assert _hits(session, f"{server.url}/catalog/1") == [False, True]
        assert _hits(session, f"{server.url}/elsewhere/1") == [False, False]


def test_status_is_not_stored_even_by_wish(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer_json({"status": "solving"})
    with ClientSession(tmp_path / "replies.sqlite", expire_after=3600) as session:
        assert _hits(session, f"{server.url}/api/jobs/1", expire_after=3600) == [False, False]


def test_information_on_unfinished_work_is_not_stored_even_by_wish(
    server: FaultyServer, tmp_path: Path
) -> None:
    server.default = answer_json({"status": "solving"})
    with ClientSession(tmp_path / "replies.sqlite", expire_after=3600) as session:
        assert _hits(session, f"{server.url}/api/jobs/1/info") == [False, False]


def test_server_decides_if_cache_control_is_on(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer_json({"x": 1}, headers={"Cache-Control": "max-age=60"})
    with ClientSession(tmp_path / "replies.sqlite", cache_control=True) as session:
        assert _hits(session, f"{server.url}/catalog/1") == [False, True]


def test_expiry_of_one_request(server: FaultyServer, cached: ClientSession) -> None:
    server.default = answer_json({"x": 1})
    assert _hits(cached, f"{server.url}/catalog/1", expire_after=60) == [False, True]


def test_forced_refresh_asks_the_server(server: FaultyServer, cached: ClientSession) -> None:
    url = f"{server.url}/api/jobs/1/calibration"
    server.default = CALIBRATION
    cached.get(url)
    server.default = answer_json({"ra": 9.0})
    assert cached.get(url, **cached.get_refresh_params("calibration")).json() == {"ra": 9.0}
    assert cached.get(url).json() == {"ra": 9.0}


def test_only_if_cached_asks_nobody(server: FaultyServer, cached: ClientSession) -> None:
    url = f"{server.url}/api/jobs/1/calibration"
    with pytest.raises(NotAvailable):
        cached.get(url, only_if_cached=True)
    assert server.arrivals == []
    server.default = CALIBRATION
    cached.get(url)
    assert cached.get(url, only_if_cached=True).json()["ra"] == 1.0


def test_streamed_reply_is_neither_read_nor_stored(server: FaultyServer, cached: ClientSession) -> None:
    server.default = FITS
    response = cached.get(f"{server.url}/wcs_file/1", stream=True)
    assert response.raw.read(9) == b"SIMPLE  ="
    response.close()
    assert cached.cache.store.totals() == (0, 0)


def test_sessions_of_a_process_share_a_cache_but_not_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    with ClientSession(path) as one, ClientSession(path, expire_after=5) as other:
        assert one.cache is other.cache
        assert (one.settings.expire_after, other.settings.expire_after) == (-1, 5)


def test_cache_is_given_back_with_the_last_session(server: FaultyServer, tmp_path: Path) -> None:
    server.default = CALIBRATION
    path = tmp_path / "replies.sqlite"
    with ClientSession(path) as one:
        with ClientSession(path) as other:
            other.get(f"{server.url}/api/jobs/1/calibration")
        assert one.cache.store.file._database._connection is not None
    assert one.cache.store.file._database._connection is None


def test_session_without_a_cache_stores_nothing(server: FaultyServer, private_folders: Path) -> None:
    server.default = CALIBRATION
    with ClientSession(None) as session:
        assert _hits(session, f"{server.url}/api/jobs/1/calibration") == [False, False]
    assert not list(private_folders.rglob("*.sqlite"))


def test_server_on_this_machine_is_not_cached_unasked(server: FaultyServer, session: ClientSession) -> None:
    server.default = CALIBRATION
    assert _hits(session, f"{server.url}/api/jobs/1/calibration") == [False, False]
    assert not cache_path().exists()


def test_cache_info_tells_and_clear_forgets(server: FaultyServer, cached: ClientSession) -> None:
    server.default = CALIBRATION
    cached.get(f"{server.url}/api/jobs/1/calibration")
    info = cache_info(cached.cache.db_path)
    assert (info.path, info.replies) == (cached.cache.db_path, 1)
    assert info.size_bytes > len(CALIBRATION.body)
    clear_cache(cached.cache.db_path)
    assert cache_info(cached.cache.db_path).replies == 0


def test_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASTROMETRY_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert shared_cache().db_path == tmp_path / "elsewhere" / "replies.sqlite"


def test_hooks_see_a_reply_once(server: FaultyServer, cached: ClientSession) -> None:
    server.default = CALIBRATION
    url, seen = f"{server.url}/api/jobs/1/calibration", list[bool]()
    hooks = {"response": lambda response, **_: seen.append(getattr(response, "from_cache", False))}
    cached.get(url, hooks=hooks)
    cached.get(url, hooks=hooks)
    assert seen == [False, True]


def test_stored_reply_serves_library_functions(server: FaultyServer, cached: ClientSession) -> None:
    server.default = CALIBRATION
    url = f"{server.url}/api/jobs/1/calibration"
    cached.get(url)
    assert cached.cache.contains(url=url)
    assert cached.cache.urls() == [url]
    cached.cache.delete(urls=[url])
    assert len(cached.cache.responses) == 0


def test_error_is_raised_although_the_cache_stands_between(
    server: FaultyServer, cached: ClientSession
) -> None:
    server.default = Answer(status=404)
    with pytest.raises(NotFound):
        cached.get(f"{server.url}/api/jobs/1/calibration")


def test_no_foreign_code_is_stored(server: FaultyServer, cached: ClientSession) -> None:
    server.default = CALIBRATION
    cached.get(f"{server.url}/api/jobs/1/calibration")
    with sqlite3.connect(cached.cache.db_path) as file:
        (body,) = file.execute("SELECT body FROM replies").fetchone()
    file.close()
    assert body == CALIBRATION.body
