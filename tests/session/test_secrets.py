"""Neither key is in anything a session wrote: files, log, repr, exceptions, dry-run reports."""

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from faulty_server import Answer, Arrival, Fault, FaultyServer, answer_json

from astrometry_client.errors import AstrometryError
from astrometry_client.session import ClientSession, format_request, format_response

API_KEY = "apikeyqwertyuiop"
SESSION_KEY = "sessionzxcvbnm0123456789"
TOKEN = "bearertokenasdfghjkl"
SECRETS = (API_KEY, SESSION_KEY, TOKEN)


ANSWERS = {
    "/api/login": answer_json(
        {"status": "success", "session": SESSION_KEY}, headers={"Set-Cookie": f"s={TOKEN}"}
    ),
    "/api/upload": answer_json({"status": "success", "subid": 1, "hash": "0"}),
    "/api/myjobs": answer_json({"status": "error", "errormessage": f'no session with key "{SESSION_KEY}"'}),
    "/api/jobs/9": Answer(fault=Fault.RESET_AFTER),
}


def _respond(arrival: Arrival) -> Answer:
    """Answer as nova does, which echoes what it was sent in some errors."""
    path = arrival.path.partition("?")[0]
    if path == "/api/url_upload":
        return answer_json({"status": "error", "errormessage": f"bad request {arrival.body.decode()}"})
    if path == "/api/submission_images":
        return Answer(status=500, body=arrival.body)
    final = answer_json({"ra": 1.0, "annotations": []}, headers={"Set-Cookie": f"s={TOKEN}"})
    return ANSWERS.get(path, final)


def _form(**values: str) -> dict[str, str]:
    return {"request-json": json.dumps(values)}


def _pipeline(session: ClientSession, server: str, image: Path) -> list[Callable[[], requests.Response]]:
    keyed = _form(session=SESSION_KEY)
    return [
        lambda: session.post(f"{server}/api/login", data=_form(apikey=API_KEY)),
        lambda: session.post(f"{server}/api/upload", data=keyed, files={"file": image}),
        lambda: session.post(f"{server}/api/upload", data=keyed, files={"file": image}, dry_run=True),
        lambda: session.post(f"{server}/api/login", data=_form(apikey=API_KEY), dry_run=True),
        lambda: session.post(f"{server}/api/myjobs", data=keyed),
        lambda: session.post(f"{server}/api/url_upload", data=keyed),
        lambda: session.post(f"{server}/api/submission_images", data=keyed),
        lambda: session.get(f"{server}/api/jobs/9", params={"session": SESSION_KEY}),
        lambda: session.get(f"{server}/api/jobs/1/annotations", params={"session": SESSION_KEY}),
        lambda: session.get(f"{server}/api/jobs/1/annotations", access_token=TOKEN),
        lambda: session.get(f"{server}/api/jobs/1/calibration", headers={"authorization": f"Bearer {TOKEN}"}),
        lambda: session.get(f"{server}/api/jobs/1/calibration", cookies={"session": SESSION_KEY}),
        lambda: session.post("http://127.0.0.1:9/api/login", data=_form(apikey=API_KEY)),
    ]


def test_no_key_is_in_anything_written(
    server: FaultyServer, tmp_path: Path, private_folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.responder = _respond
    image = tmp_path / "image.fits"
    image.write_bytes(b"SIMPLE  =")
    written: list[str] = []
    options = {
        "cache_file": tmp_path / "replies.sqlite",
        "per_second": 1000,
        "ratelimit_path": tmp_path / "rates",
    }
    with ClientSession(**options, max_retries=1, backoff_factor=0, token=TOKEN, url=server.url) as session:
        for step in _pipeline(session, server.url, image):
            try:
                response = step()
                written += [repr(response), format_request(response.request), format_response(response)]
            except AstrometryError as error:
                written += [repr(error), str(error), str(error.server_message), error.url or ""]
                written += [*traceback.format_exception(error), format_request(error.request)]
        written += [repr(session), repr(session.cache), repr(session.settings), repr(session.auth)]
        assert session.cache.store.totals()[0] == 2
    logged = [record.getMessage() for record in caplog.records]
    # urllib3 logs whole addresses; no request of ours has a key there, as two of these have.
    ours = [line for line in logged if "GET /api/jobs" not in line or f"session={SESSION_KEY}" not in line]
    written += ours
    assert len(server.arrivals) > 8
    for text in written:
        assert not [secret for secret in SECRETS if secret in text], text
    for file in [*tmp_path.rglob("*"), *private_folders.rglob("*")]:
        if file.is_file():
            assert not [secret for secret in SECRETS if secret.encode() in file.read_bytes()], file
