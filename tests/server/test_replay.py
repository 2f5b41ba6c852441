"""The recorded exchanges of nova, replayed byte by byte against our server."""

import http.client
import io
import json
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import numpy as np
import pytest
from live_server import Api, until
from PIL import Image
from recordings import Recording, recording, recordings
from toy_engines import ENDLESS

from astrometry_client.server.files import FileStore
from astrometry_client.server.run import LocalServer

NOT_REPLAYED = (
    *("file_red_green_image_display__failed_job", "file_red_green_image_display__no_axy_job"),  # no reply
    "sdss_image_for_wcs",  # another site
    "hidden_job_info_no_auth",  # caught between two steps of nova: solving, but already calibrated
    "upload_cookie_but_no_json_session",  # a wrong boundary; nova guesses, and echoes the file
)

SESSION = re.compile(r'"session": "([a-z0-9]{32})"')
STATES = {8: "failure", 17: "failure", 34: "solving", 43: "solving", 45: "processing"}
TABLES = ("calibrations", "jobs", "images", "submissions")
OURS = 10**9
"""What is really uploaded gets ids above this one, and stays out of the way."""

ONLY_TYPES = (
    "session",
    "subid",
    "images",
    "tags",
    "machine_tags",
    "objects_in_field",
    "annotations",
    "job_ids",
)


CASES = [case for case in recordings() if not any(fnmatchcase(case.name, name) for name in NOT_REPLAYED)]


class State:
    """Write into the database of a server what nova's held when an exchange was recorded."""

    def __init__(self, connection: sqlite3.Connection, *, picture: str, field: str) -> None:
        self._connection, self._picture, self._field = connection, picture, field

    def accounts(self) -> None:
        self._connection.execute("INSERT INTO users (id, name) VALUES (1001, 'tester@example.com')")
        self._connection.execute(
            "INSERT INTO api_keys VALUES (?, 1001)", (sha256(b"testapikey123456").hexdigest(),)
        )

        values = [(table, OURS) for table in TABLES]
        self._connection.executemany("INSERT INTO sqlite_sequence VALUES (?, ?)", values)

    def clear(self) -> None:
        for table in TABLES:
            self._connection.execute(f"DELETE FROM {table} WHERE id <= {OURS}")
        self._connection.execute("DELETE FROM sessions")

    def session(self, key: str, *, user_id: int, lifetime_s: float) -> None:
        values = (sha256(key.encode()).hexdigest(), user_id, time.time() + lifetime_s)
        self._connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", values)

    def submission(self, submission_id: int, document: dict[str, Any]) -> None:
        started, finished = (
            None if document[key] == "None" else document[key]
            for key in ("processing_started", "processing_finished")
        )
        self._connection.execute(
            "INSERT INTO submissions (id, user_id, filename, options, started, finished, error_message)"
            " VALUES (?, ?, 'apod4.jpg', '{}', ?, ?, ?)",
            (submission_id, document["user"], started, finished, document.get("error_message")),
        )
        solved = dict(document["job_calibrations"])
        for image_id, job_id in zip(document["user_images"], document["jobs"], strict=True):
            self._image(image_id, submission_id)
            if job_id is not None:
                self._job(job_id, image_id, "success" if job_id in solved else "failure")
                if job_id in solved:
                    self._calibration(solved[job_id], job_id)

    def job(self, job_id: int, *, status: str, filename: str, listed: bool) -> None:
        document = {"user": 1001, "user_images": [], "jobs": [], "job_calibrations": []}
        times = dict.fromkeys(("processing_started", "processing_finished"), "2026-11-20 14:28:01.337214")
        self.submission(1, {**document, **times})
        self._image(1, 1, filename=filename)
        options = json.dumps({"listed": listed})
        self._connection.execute("UPDATE submissions SET options = ? WHERE id = 1", (options,))
        self._job(job_id, 1, status)
        if status == "success":
            self._calibration(1, job_id)

    def _image(self, image_id: int, submission_id: int, *, filename: str = "apod4.jpg") -> None:
        self._connection.execute(
            "INSERT INTO images (id, submission_id, sha1, filename, field, waiting)"
            " VALUES (?, ?, ?, ?, ?, 0)",
            (image_id, submission_id, self._picture, filename, self._field),
        )

    def _job(self, job_id: int, image_id: int, status: str) -> None:
        self._connection.execute("INSERT INTO jobs VALUES (?, ?, ?, NULL, 0)", (job_id, image_id, status))

    def _calibration(self, calibration_id: int, job_id: int) -> None:
        known = "job_calibration_xy" if job_id == 6 else "job_calibration_solved_post"
        wcs = recording("file_wcs_file__noreferer").body.ljust(11520)
        values = (calibration_id, job_id, recording(known).body.decode(), wcs)
        self._connection.execute(
            "INSERT INTO calibrations VALUES (?, ?, ?, '[]', ?, '[[300, 100, 174, 54]]')", values
        )


@pytest.fixture(scope="module")
def nova(toy_dir: Path) -> Iterator[LocalServer]:
    with LocalServer(
        engine="toy_engines:toy", workers=1, solve_timeout_s=1000.0, strict_nova=True
    ) as running:
        yield running


@pytest.fixture(scope="module")
def state(nova: LocalServer, toy_dir: Path) -> Iterator[State]:
    connection = sqlite3.connect(nova.data_dir / "server.sqlite", isolation_level=None, timeout=30.0)
    store = FileStore(nova.data_dir / "files")
    picture, field = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (719, 507)).save(picture, "PNG")
    np.savez(field, width_px=719, height_px=507, x=[300.0], y=[100.0], flux=[1.0], top_down=True)
    picture_sha1, field_sha1 = (store.store(file.getvalue()).sha1 for file in (picture, field))
    state = State(connection, picture=picture_sha1, field=field_sha1)
    state.accounts()
    keep_busy(nova, toy_dir)
    yield state
    connection.close()


def keep_busy(nova: LocalServer, toy_dir: Path) -> None:
    """Give the only worker a solve without end, so that it takes nothing of what the tests put there."""
    (toy_dir / "helper").unlink(missing_ok=True)
    Api.login(nova.url, nova.api_key).upload_sources(ENDLESS)
    until((toy_dir / "helper").exists, bool)


def whole_request(case: Recording) -> bytes:
    """Return the request; the end of a long body, which was not recorded, is made up."""
    body, headers = case.request_body, dict(case.request_headers)
    missing = int(headers.get("Content-Length", "0")) - len(body)
    if missing and case.name.startswith("upload_xy_too_big"):
        body += b"1" * missing
    elif missing and case.name.startswith("upload_xy_"):  # x is cut: end it, and send it as y too
        whole = body[: body.rfind(b"%2C")] + b"%5D"
        body = whole + b"%2C+%22y%22" + whole[whole.index(b"%3A+%5B") :] + b"%7D"
        headers["Content-Length"] = str(len(body))
    elif missing:
        boundary = re.search('boundary="(.*)"', headers["Content-Type"])
        assert boundary
        body += f"\r\n--{boundary[1]}--\r\n".encode()
        headers["Content-Length"] = str(len(body))
    lines = [f"{case.method} {case.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def replay(case: Recording, url: str) -> tuple[http.client.HTTPResponse, bytes]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30.0) as connection:
        connection.sendall(whole_request(case))
        response = http.client.HTTPResponse(connection, method=case.method)
        response.begin()
        body = response.read()
        response.close()
    return response, body


def prepare(case: Recording, state: State) -> None:
    state.clear()
    key = SESSION.search(unquote_plus(case.request_body.decode("latin-1")))
    if key and case.name != "upload_purged_session":
        outdated = case.name in ("upload_expired_session", "upload_anonymous_session")
        user_id = 1001 if case.name.startswith("myjobs") else 1  # whoever uploads has other jobs too
        state.session(key[1], user_id=user_id, lifetime_s=-10.0 if outdated else 1000.0)
    ids = re.search(r"/(submissions|jobs|joblog2?|\w+_file|\w+_display)/(\d{1,5})(?=/|$)", case.path)
    if ids and ids[1] == "submissions" and case.status == 200:
        known = case if case.body else recording("submission_post")
        state.submission(int(ids[2]), json.loads(known.body))
    elif ids and ids[1] != "submissions":
        told = dict(re.findall(r'"(status|original_filename)": "([^"]*)"', case.body.decode("latin-1")))
        status = told.get("status", STATES.get(int(ids[2]), "success"))
        state.job(
            int(ids[2]),
            status=status,
            filename=told.get("original_filename", "apod4.jpg"),
            listed=ids[2] == "6",
        )
    elif case.name in ("submission_images_ok", "submission_images_other_user"):
        state.submission(1, {**json.loads(recording("submission_post").body), "user_images": [2]})
    elif case.name == "myjobs_ok":
        for job_id in json.loads(case.body)["jobs"]:
            times = {"processing_started": "None", "processing_finished": "None"}
            lists = {"user_images": [job_id], "jobs": [job_id], "job_calibrations": []}
            state.submission(job_id, {"user": 1001, **times, **lists})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recorded_exchange_is_repeated(case: Recording, nova: LocalServer, state: State) -> None:
    prepare(case, state)
    response, body = replay(case, nova.url)
    assert response.status == case.status
    headers = {name.title(): value for name, value in case.headers.items()}
    for name in ("Content-Type", "Content-Disposition", "Location"):
        assert response.headers[name] == headers.get(name)
    if headers["Content-Type"] == "text/plain" and case.complete and case.body.startswith(b"{"):
        compare(case, json.loads(body), json.loads(case.body))
    elif headers["Content-Type"] == "application/fits":
        assert len(body) == case.body_length or "wcs_file" not in case.path
        assert len(body) % 2880 == 0
        assert body.startswith(b"SIMPLE  =") or case.method == "HEAD"
    elif headers["Content-Type"].startswith("image/"):
        assert body[:2] == case.body[:2]


def compare(case: Recording, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    cut = int(case.request_headers.get("Content-Length", "0")) > len(case.request_body)
    loose = (*ONLY_TYPES, "hash") if cut or "xy" in case.name else ONLY_TYPES
    for key, value in theirs.items():
        if key in loose:
            assert type(ours[key]) is type(value)
        else:
            assert ours[key] == value
