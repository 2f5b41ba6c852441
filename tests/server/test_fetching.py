"""A URL upload reaches public addresses only, and takes no more than is allowed."""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from live_server import Api
from pytest_httpserver import HTTPServer
from toy_engines import SOLVED

from astrometry_client.server.fetching import Address, FetchError, any_address, fetch, file_name, is_public
from astrometry_client.server.files import FileStore
from astrometry_client.server.run import LocalServer
from astrometry_client.server.settings import ServerSettings


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(data_dir=tmp_path, upload_bytes=1_000_000)


def fetched(url: str, settings: ServerSettings, *, allowed: Callable[[Address], bool] = any_address) -> bytes:
    store = FileStore(settings.files_dir)
    content = store.path(fetch(url, store=store, settings=settings, allowed=allowed).sha1).read_bytes()
    assert list((settings.files_dir / "incoming").iterdir()) == []
    return content


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        *((private, False) for private in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0")),
        *((private, False) for private in ("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255")),
        *((private, False) for private in ("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1")),
        *((private, False) for private in ("64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:10.0.0.1")),
        *(
            (private, False)
            for private in ("::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "2001:0:7f00:1::")
        ),
    ],
)
def test_addresses_of_the_open_internet_are_told_from_others(address: str, *, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


def test_file_is_stored(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a b.fits", query_string="token=x").respond_with_data(b"sky" * 1000)
    assert fetched(httpserver.url_for("/a b.fits?token=x"), settings) == b"sky" * 1000


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost:1/", "http://[::1]/", "http://2130706433/", "http://0/"),
        *("http://169.254.169.254/latest", "https://10.0.0.1/x", "http://user@127.0.0.1/", "http://127.1/"),
    ],
)
def test_private_address_is_refused(url: str, settings: ServerSettings) -> None:
    with pytest.raises(FetchError, match="open internet"):
        fetched(url, settings, allowed=is_public)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://x/", "hello", "None", "", "http://"),
        *(
            "http://[::1",
            "http://x:99999/",
            "http://x:y/",
            "http://no-such-host.invalid/x",
            "http://\x00/",
            "//x/",
        ),
        *("http://127.0.0.1:9/x.jpg", "http://no-such-host.invalid/x", "http://" + "a" * 300 + ".org/"),
    ],
)
def test_what_is_no_reachable_url_is_refused(url: str, settings: ServerSettings) -> None:
    with pytest.raises(FetchError):
        fetched(url, settings)


def only_the_first(address: Address) -> bool:
    return str(address) == "127.0.0.1"


def test_redirect_is_followed(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": "b?c=d"})
    httpserver.expect_request("/b", query_string="c=d").respond_with_data(b"sky")
    assert fetched(httpserver.url_for("/a"), settings) == b"sky"


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:1/x", "file:///etc/hostname", "http://[::1]/", "//127.0.0.3/"]
)
def test_redirect_leads_to_no_forbidden_address(
    httpserver: HTTPServer, settings: ServerSettings, target: str
) -> None:
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": target})
    with pytest.raises(FetchError, match=r"open internet|must begin"):
        fetched(f"http://127.0.0.1:{httpserver.port}/a", settings, allowed=only_the_first)


def test_circle_of_redirects_ends(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a").respond_with_data(status=302, headers={"Location": "/a"})
    with pytest.raises(FetchError, match="more than 5 times"):
        fetched(httpserver.url_for("/a"), settings)


def test_refusal_of_the_other_server_is_told(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a").respond_with_data(b"none", status=404)
    with pytest.raises(FetchError, match="status 404"):
        fetched(httpserver.url_for("/a"), settings)


@pytest.fixture
def talk() -> Iterator[Callable[[bytes], str]]:
    """Serve one connection with these bytes, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def serve(answer: bytes) -> str:
            def once() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(10_000)
                    connection.sendall(answer)

            threads.append(threading.Thread(target=once))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/"

        yield serve
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsky",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nsky",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsky",
        b"hello",
        b"",
    ],
    ids=["length", "chunk", "no chunk", "no HTTP", "nothing"],
)
def test_cut_or_broken_answer_is_refused(
    talk: Callable[[bytes], str], settings: ServerSettings, answer: bytes
) -> None:
    with pytest.raises(FetchError):
        fetched(talk(answer), settings)


def test_file_that_is_too_large_is_refused(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a").respond_with_data(bytes(1_000_001))
    with pytest.raises(FetchError, match="larger than this server takes"):
        fetched(httpserver.url_for("/a"), settings)
    assert list((settings.files_dir / "incoming").iterdir()) == []


def test_file_that_takes_too_long_is_refused(httpserver: HTTPServer, settings: ServerSettings) -> None:
    httpserver.expect_request("/a").respond_with_data(b"sky")
    with pytest.raises(FetchError, match="too long"):
        fetched(httpserver.url_for("/a"), attrs.evolve(settings, fetch_timeout_s=1e-9))


@pytest.mark.parametrize(
    ("url", "name"), [("http://x/a/b%20c.fits?d/e", "b c.fits"), ("http://x/", "x"), ("", "file")]
)
def test_file_is_named_as_in_the_url(url: str, name: str) -> None:
    assert file_name(url) == name


def url_upload(server: LocalServer, url: str) -> tuple[Api, int]:
    api = Api.login(server.url, server.api_key)
    reply = api.call("url_upload", {"session": api.session_key, "url": url, "image_width": 5}).json()
    assert list(reply) == ["status", "subid"]
    return api, reply["subid"]


def test_url_upload_is_solved(httpserver: HTTPServer, toy_dir: Path) -> None:
    listed = "".join(f"{number} {number}\n" for number in range(1, SOLVED + 1))
    httpserver.expect_request("/m31.txt").respond_with_data(listed)
    with LocalServer(engine="toy_engines:toy", workers=1, private_urls=True) as server:
        api, submission_id = url_upload(server, httpserver.url_for("/m31.txt?token=secret"))
        job_id = api.solve(submission_id)
        assert api.get(f"api/jobs/{job_id}/info").json()["original_filename"] == "m31.txt"
        assert "secret" not in server.messages


def test_failed_fetch_ends_the_submission_with_a_message(httpserver: HTTPServer, server: LocalServer) -> None:
    api, submission_id = url_upload(server, httpserver.url_for("/m31.txt"))
    assert "not on the open internet" in api.read(submission_id)["error_message"]
    assert httpserver.log == []


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the URL of a server that takes every connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_silent_server_keeps_no_solver_and_no_other_url_waiting(
    silent: str, httpserver: HTTPServer, toy_dir: Path
) -> None:
    listed = "".join(f"{number} {number}\n" for number in range(1, SOLVED + 1))
    httpserver.expect_request("/m31.txt").respond_with_data(listed)
    with LocalServer(engine="toy_engines:toy", workers=1, fetches=2, private_urls=True) as server:
        api, waiting = url_upload(server, silent)
        api.until(waiting, lambda document: document["processing_started"] != "None")
        assert api.ended(api.upload_sources(SOLVED)) == ["success"]
        _, other = url_upload(server, httpserver.url_for("/m31.txt"))
        assert api.ended(other) == ["success"]
        assert api.submission(waiting)["processing_finished"] == "None"


def test_fetch_that_takes_too_long_is_stopped(silent: str, toy_dir: Path) -> None:
    options = {"workers": 1, "private_urls": True, "fetch_timeout_s": 1.0}
    with LocalServer(engine="toy_engines:toy", **options) as server:
        api, submission_id = url_upload(server, silent)
        assert api.read(submission_id)["error_message"] == "stopped after 1 s"


def test_name_with_one_forbidden_address_is_refused(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in ("93.184.215.14", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with pytest.raises(FetchError, match="open internet"):
        fetched("http://two-faced.example/", settings, allowed=is_public)


def test_name_is_looked_up_once_so_it_cannot_change_its_mind(
    httpserver: HTTPServer, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/a").respond_with_data(b"sky")
    answers, look_up = ["127.0.0.1", "127.0.0.9"], socket.getaddrinfo

    def changing(host: str, *more: Any, **options: Any) -> list[Any]:
        return look_up(answers.pop(0) if host == "rebinding.example" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    url = f"http://rebinding.example:{httpserver.port}/a"
    assert fetched(url, settings, allowed=only_the_first) == b"sky"
    assert answers == ["127.0.0.9"]
