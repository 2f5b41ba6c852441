"""Any endpoint by its name: refused before a request if it cannot be, and never HTML in place of data."""

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrivals import run_threads
from faulty_server import Answer, Fault, answer_json
from loopback import loopback
from small_nova import SmallNova, fits_file

from astrometry_client import Client, ClientSession, Settings, api
from astrometry_client.errors import InputError, MalformedReply, NotAvailable, NotFound, ServerRefused
from astrometry_client.generic import CHUNK_BYTES
from astrometry_client.predicates import predicates_of
from astrometry_client.session.endpoints import ENDPOINTS

PAGE = Answer(body=b"<!DOCTYPE html><html><title>Sorry</title></html>", kind="text/html")
IMAGE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def server() -> Iterator[SmallNova]:
    with SmallNova() as running:
        yield running


@pytest.fixture
def client(server: SmallNova) -> Iterator[Client]:
    with ClientSession(max_retries=1, backoff_factor=0) as session:
        yield Client("secretkey", base_url=server.url, client_session=session)


def test_every_endpoint_can_be_asked() -> None:
    assert set(api.CALLS) == {endpoint.name for endpoint in ENDPOINTS if endpoint.known}


def test_document_comes_as_it_is(server: SmallNova, client: Client) -> None:
    client.solve(IMAGE)
    assert client.generic_request("job", job_id=1) == {"status": "success"}
    assert client.generic_request("submission", submission_id=1)["jobs"] == [1]
    assert client.generic_request("submission_images", submission_id=np.int64(1))["image_ids"] == [1]
    assert client.generic_request("myjobs")["jobs"] == [1]
    assert client.generic_request("jobs_by_tag", tag="M 1", exact=True)["job_ids"] == [1]
    assert client.generic_request("login")["status"] == "success"


def test_types_are_parsed_on_demand(server: SmallNova, client: Client) -> None:
    server.default = answer_json(
        {"processing_started": "2026-11-20 14:28:01.5", "processing_finished": "None", "jobs": ["7", None]}
    )
    server.responder = None
    plain = client.generic_request("submission", submission_id=1)
    assert plain["processing_finished"] == "None"
    assert client.generic_request("submission", submission_id=1, parse_types=True) == {
        "processing_started": datetime(2026, 11, 20, 14, 28, 1, 500000, tzinfo=UTC),
        "processing_finished": None,
        "jobs": [7, None],
    }


def test_upload_takes_the_options_of_settings(server: SmallNova, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    path.write_bytes(IMAGE)
    client.settings = Settings(tweak_order=3)
    client.generic_request("upload", file=path)
    client.generic_request("upload", file=path, scale_units="degwidth", scale_lower=1, scale_upper=2)
    client.generic_request("upload", x=[1, 2], y=[3, 4], image_width_px=9, image_height_px=9)
    client.generic_request("url_upload", url="https://example.org/m31.jpg", publicly_visible="n")
    first, second, third, fourth = (upload.options for upload in server.uploads)
    assert first == {"tweak_order": 3}
    assert second["scale_upper"] == 2
    assert "tweak_order" not in second
    assert (server.uploads[2].content, third["image_width"]) == (b"1.0 3.0\n2.0 4.0\n", 9)
    assert (fourth["url"], fourth["publicly_visible"]) == ("https://example.org/m31.jpg", "n")


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("jobz", {}, "endpoint='jobz' is not allowed: give one of login, upload"),
        ("job", {}, "job_id is missing: job needs a whole number at least 1"),
        ("job", {"job_id": "7"}, "job_id='7' is not allowed: give a whole number at least 1"),
        ("job", {"job_id": True}, "job_id=True"),
        ("job", {"job_id": 0}, "job_id=0"),
        ("job", {"job_id": 7, "tag": "M 1"}, "tag is not allowed: job takes job_id"),
        ("myjobs", {"page": 1}, "page is not allowed: myjobs takes nothing"),
        ("jobs_by_tag", {"tag": ""}, "tag=''"),
        ("jobs_by_tag", {"tag": "a", "exact": "yes"}, "exact='yes' is not allowed: give True or False"),
        ("upload", {}, "a file, or x and y"),
        ("upload", {"file": IMAGE, "x": [1], "y": [1]}, "a file, or x and y"),
        ("upload", {"file": IMAGE, "scale_lower": 1}, "scale_units"),
        ("upload", {"file": IMAGE, "session": "k"}, "session is not allowed"),
        ("upload", {"x": [1], "y": [1]}, "image_width_px"),
        ("url_upload", {"url": "nonsense"}, "url='nonsense'"),
        ("url_upload", {}, "url is missing"),
        ("corr_file", {"job_id": 7, "iter_lines": True}, "iter_lines=True is not allowed"),
        ("corr_file", {"job_id": 7, "parse_types": True}, "parse_types=True is not allowed"),
        ("job", {"job_id": 7, "parse_types": True, "iter_content": True}, "parse_types=True"),
        ("job", {"job_id": 7, "iter_lines": True, "iter_content": True}, "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_before_a_request(
    server: SmallNova, client: Client, endpoint: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        client.generic_request(endpoint, **arguments)
    assert server.arrivals == []


def test_secret_is_in_no_refusal(client: Client) -> None:
    with pytest.raises(InputError) as caught:
        client.generic_request("login", api_key="othersecret")
    assert "othersecret" not in str(caught.value)


def test_file_comes_whole_or_in_chunks(server: SmallNova, client: Client) -> None:
    body = fits_file() + bytes(2880 * 100)
    server.default, server.responder = Answer(body=body, kind="application/fits"), None
    assert client.generic_request("corr_file", job_id=7) == body
    chunks = list(client.generic_request("corr_file", job_id=7, iter_content=True))
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES, CHUNK_BYTES, len(body) - 2 * CHUNK_BYTES]
    assert b"".join(chunks) == body


def test_text_comes_in_lines(server: SmallNova, client: Client) -> None:
    server.default, server.responder = Answer(body="one\r\ntwo\n\nfour é".encode()), None
    assert list(client.generic_request("joblog", job_id=7, iter_lines=True)) == ["one", "two", "", "four é"]


def test_reply_of_a_write_comes_in_pieces_too(server: SmallNova, client: Client) -> None:
    pieces = client.generic_request("myjobs", iter_lines=True)
    assert server.arrivals == []
    assert list(pieces) == ['{"jobs": [], "status": "success"}']


def test_nothing_is_asked_before_the_first_piece_is_wanted(server: SmallNova, client: Client) -> None:
    client.generic_request("corr_file", job_id=7, iter_content=True)
    assert server.arrivals == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (PAGE, MalformedReply),
        (Answer(status=404), NotFound),
        (Answer(body=b"plot failed", kind="text/html"), NotAvailable),
        (Answer(body=fits_file() * 50, fault=Fault.CUT), MalformedReply),
        (answer_json({"status": "error", "errormessage": "no"}), ServerRefused),
    ],
)
def test_nothing_but_the_whole_data_comes_in_pieces(
    server: SmallNova, client: Client, answer: Answer, error: type[Exception]
) -> None:
    server.default, server.responder = answer, None
    with pytest.raises(error):
        next(client.generic_request("corr_file", job_id=7, iter_content=True))


def test_reply_cut_at_first_comes_whole(server: SmallNova, client: Client) -> None:
    body = fits_file() * 200
    server.script(Answer(body=body, fault=Fault.CUT))
    server.default, server.responder = Answer(body=body), None
    assert b"".join(client.generic_request("corr_file", job_id=7, iter_content=True)) == body


def test_who_stops_listening_leaves_no_file(
    server: SmallNova, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server.default, server.responder = Answer(body=fits_file() * 200), None
    chunks = client.generic_request("corr_file", job_id=7, iter_content=True)
    next(chunks)
    assert list(tmp_path.iterdir())
    chunks.close()
    assert list(tmp_path.iterdir()) == []


def test_pieces_take_no_memory() -> None:
    body = fits_file() + bytes(2880 * 10_000)
    with loopback() as server:
        server.answer = lambda _: (200, {}, body)
        chunks = Client("key", base_url=server.url).generic_request("corr_file", job_id=7, iter_content=True)
        tracemalloc.start()
        try:
            assert sum(map(len, chunks)) == len(body)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 3_000_000


def test_pieces_take_a_slot_of_the_budget(server: SmallNova) -> None:
    waits: list[float] = []
    server.default, server.responder = Answer(body=b"one"), None
    with ClientSession(per_second=20, burst=1, cache_file=None, on_wait=waits.append) as session:
        client = Client("key", base_url=server.url, client_session=session)
        for _ in range(2):
            list(client.generic_request("joblog", job_id=7, iter_lines=True))
    assert len(waits) == 1


def test_dry_run_gives_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN_ENABLED", "1")
    client = Client(base_url="https://nova.example")
    assert next(client.generic_request("corr_file", job_id=7, iter_content=True)).startswith(b"SIMPLE")
    assert client.generic_request("upload", file=IMAGE)["subid"]


def test_predicates_tell_what_an_endpoint_takes(client: Client) -> None:
    tag, exact = client.get_predicates("jobs_by_tag")
    assert (tag.name, tag.type, tag.required, tag.default) == ("tag", "text", True, "none")
    assert (exact.type, exact.required, exact.default, exact.allowed) == (
        *("yes or no", False, "False"),
        "True or False",
    )
    upload = {predicate.name: predicate for predicate in client.get_predicates("upload")}
    assert list(upload)[:3] == ["file", "x", "y"]
    assert list(upload)[3:] == [option.name for option in Settings.describe()]
    assert (upload["radius_deg"].unit, upload["tweak_order"].default) == ("deg", "2")
    assert client.get_predicates("myjobs") == ()
    assert [predicate.name for predicate in client.get_predicates("new_fits_file")] == ["job_id"]


def test_predicates_are_found_out_once(client: Client) -> None:
    assert client.get_predicates("upload") is client.get_predicates("upload")
    with pytest.raises(InputError, match="joblog"):
        client.get_predicates("nothing")


@pytest.mark.parametrize("endpoint", list(api.CALLS))
def test_every_predicate_is_complete(endpoint: str) -> None:
    for predicate in predicates_of(endpoint):
        assert all((predicate.type, predicate.default, predicate.allowed, predicate.description))


def test_threads_may_ask_at_once(client: Client) -> None:
    run_threads(lambda: client.generic_request("myjobs"), 8)
