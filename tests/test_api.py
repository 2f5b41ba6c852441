"""Each call of the API against each recorded reply to it: the value it means, or a typed error."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import attrs
import pytest
from made_responses import SITE, made_response, recorded_response
from recordings import Recording, recordings

from astrometry_client import api
from astrometry_client.errors import AstrometryError, InputError, NotAvailable, NoUsableReply
from astrometry_client.login import Session
from astrometry_client.models import Calibration, SubmissionStatus, UploadReceipt
from astrometry_client.models.replies import LoginReply
from astrometry_client.request import Request
from astrometry_client.session.endpoints import endpoint_of, ids_in
from astrometry_client.session.replies import judge, judge_head

SESSION = Session("key", base_url=SITE)
NO_CALL = ("login_options", "*_head", "jobs_by_tag_empty", "submission_zero", "sdss_image_for_wcs")
"""Methods and values no call of ours uses, and another site."""


def call_for(record: Recording) -> Request[Any] | None:
    """Return the call of ours that asks for what was recorded."""
    endpoint = endpoint_of(SITE + record.path)
    ids = ids_in(SITE + record.path)
    calls: dict[str, Callable[[], Request[Any]]] = {
        "login": lambda: api.login(SITE, api_key="key"),
        "upload": lambda: api.upload(SESSION, payload={}),
        "url_upload": lambda: api.url_upload(SESSION, payload={}),
        "myjobs": lambda: api.my_jobs(SESSION),
        "submission_images": lambda: api.submission_images(SESSION, 1),
        "jobs_by_tag": lambda: api.jobs_by_tag(SITE, record.path.partition("query=")[2]),
        "submission": lambda: api.submission_status(SITE, ids["submission_id"]),
        "job": lambda: api.job_status(SITE, ids["job_id"]),
        "calibration": lambda: api.calibration(SITE, ids["job_id"]),
        "annotations": lambda: api.annotations(SITE, ids["job_id"]),
        "info": lambda: api.job_info(SITE, ids["job_id"]),
        "tags": lambda: api.tags(SITE, ids["job_id"]),
        "machine_tags": lambda: api.machine_tags(SITE, ids["job_id"]),
        "objects_in_field": lambda: api.objects_in_field(SITE, ids["job_id"]),
    }
    if endpoint.result_file:
        return api.result_file(SITE, ids["job_id"], endpoint.name)
    return calls[endpoint.name]() if endpoint.name in calls else None


def was_cut(record: Recording) -> bool:
    return record.body_length > 2048


def mended(record: Recording) -> Recording:
    """Return a recording whose JSON, of which 2 kB were kept, is closed behind its last whole entry."""
    if not was_cut(record) or not record.body.startswith(b"{"):
        return record
    if b'"names"' in record.body:
        return attrs.evolve(record, body=record.body[: record.body.rindex(b', {"type"')] + b"]}")
    if b"job_ids" in record.body:
        return attrs.evolve(record, body=record.body[: record.body.rindex(b",")] + b"]}")
    if b"errormessage" in record.body:
        return attrs.evolve(record, body=record.body.rpartition(b"\\")[0].rstrip(b"\\") + b'"}')
    return attrs.evolve(record, body=record.body[: record.body.rindex(b', "calibration"')] + b"}")


def outcome(record: Recording) -> Any:
    """Return what our call makes of the recorded reply; the type of the error if it is one."""
    if record.status is None:
        return NoUsableReply
    response = recorded_response(mended(record))
    try:
        if was_cut(record) and not record.body.startswith(b"{"):
            judge_head(response, record.body)
        else:
            judge(response)
    except AstrometryError as error:
        return type(error)
    call = call_for(record)
    assert call is not None, "an address without a call was answered with data"
    return call.read(response)


def by_hand(record: Recording) -> Any:
    """Return what a recorded reply says, read once more in another way."""
    said = json.loads(mended(record).body) if record.body.startswith(b"{") else {}
    name = endpoint_of(SITE + record.path).name
    readings: dict[str, Callable[[], Any]] = {
        "login": lambda: LoginReply(session_key=said["session"], user="tester@example.com"),
        "upload": lambda: UploadReceipt(submission_id=said["subid"], sha1=said.get("hash")),
        "url_upload": lambda: UploadReceipt(submission_id=said["subid"], sha1=None),
        "submission": lambda: submission(record, said),
        "calibration": lambda: place(said),
        "job": lambda: said["status"],
        "tags": lambda: tuple(said["tags"]),
        "machine_tags": lambda: tuple(said["tags"]),
        "objects_in_field": lambda: tuple(said["objects_in_field"]),
        "myjobs": lambda: tuple(range(1, 36)),
        "jobs_by_tag": lambda: tuple(sorted(set(said["job_ids"]), key=said["job_ids"].index)),
        "submission_images": lambda: (2,),
    }
    return readings[name]() if name in readings else record.body


def submission(record: Recording, said: dict[str, Any]) -> SubmissionStatus:
    return SubmissionStatus(
        submission_id=int(record.path.strip("/").split("/")[-1]),
        started=moment(said["processing_started"]),
        finished=moment(said["processing_finished"]),
        jobs=tuple(said["jobs"]),
        solved_job_ids=tuple(pair[0] for pair in said["job_calibrations"]),
        user_images=tuple(said["user_images"]),
        error_message=said.get("error_message"),
    )


def moment(text: str) -> datetime | None:
    return None if text == "None" else datetime.strptime(f"{text}+0000", "%Y-%m-%d %H:%M:%S.%f%z")


def place(said: dict[str, Any]) -> Calibration:
    return Calibration(
        ra_deg=said["ra"],
        dec_deg=said["dec"],
        radius_deg=said["radius"],
        pixel_scale_arcsec=said["pixscale"],
        orientation_deg=said["orientation"],
        parity={1.0: 1, -1.0: -1}[said["parity"]],
        width_arcsec=said.get("width_arcsec"),
        height_arcsec=said.get("height_arcsec"),
    )


RECORDINGS = recordings()
CASES = [record for record in RECORDINGS if not any(fnmatchcase(record.name, name) for name in NO_CALL)]


@pytest.mark.parametrize("record", CASES, ids=lambda record: record.name)
def test_recorded_reply_becomes_the_right_value_or_a_typed_error(record: Recording) -> None:
    result = outcome(record)
    if isinstance(result, type):
        # Which error it is, is told for each recording in tests/session/test_replies.py.
        assert issubclass(result, AstrometryError)
        return
    assert 200 <= (record.status or 0) < 300 and b'"error' not in record.body[:12]  # noqa: PT018
    name = endpoint_of(SITE + record.path).name
    if name == "info":
        assert_is_info(result, json.loads(mended(record).body))
    elif name == "annotations":
        assert_are_annotations(result, json.loads(mended(record).body)["annotations"])
    else:
        assert result == by_hand(record)


def assert_is_info(info: Any, said: dict[str, Any]) -> None:
    assert (info.state, info.original_filename) == (said["status"], said["original_filename"])
    assert info.tags == tuple(said["tags"])
    assert info.machine_tags == tuple(said["machine_tags"])
    assert info.objects_in_field == tuple(said["objects_in_field"])
    assert info.calibration == (place(said["calibration"]) if "calibration" in said else None)


def assert_are_annotations(found: Any, said: list[dict[str, Any]]) -> None:
    assert len(found) == len(said) > 5
    for one, raw in zip(found, said, strict=True):
        assert (one.kind, list(one.names)) == (raw["type"], raw["names"])
        assert (one.x_px, one.y_px, one.radius_px) == (raw["pixelx"], raw["pixely"], raw["radius"])
        assert one.magnitude == raw.get("vmag")


def test_most_recordings_are_values() -> None:
    values = [record for record in CASES if not isinstance(outcome(record), type)]
    assert len(RECORDINGS) - len(CASES) <= 8
    assert len(values) > 120


@pytest.mark.parametrize("record", CASES, ids=lambda record: record.name)
def test_call_asks_the_address_that_was_recorded(record: Recording) -> None:
    call = call_for(record)
    if call is not None and "nbright" not in record.path and not record.path.startswith("//"):
        recorded = (SITE + record.path).rstrip("/").partition("?request-json")[0]
        assert call.url.rstrip("=") == recorded.rstrip("=")


def test_calls_send_a_referer_where_the_server_wants_one() -> None:
    wanting = {kind for kind in api.RESULT_FILES if api.result_file(SITE, 1, kind).headers}
    refused = {
        endpoint_of(SITE + record.path).name
        for record in RECORDINGS
        if record.status == 302 and not record.request_headers.get("Referer")
    }
    assert refused <= wanting
    assert {"wcs_file", "rdls_file", "axy_file"}.isdisjoint(wanting)


def test_unknown_kind_of_file_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="wcs_file"):
        api.result_file(SITE, 1, "xyz_file")


def test_exact_tag_is_asked_for_as_such() -> None:
    assert api.jobs_by_tag(SITE, "M 31", exact=True).url == f"{SITE}/api/jobs_by_tag?query=M+31&exact=yes"


def test_time_is_utc() -> None:
    assert moment("2026-11-20 14:28:01.337214") == datetime(2026, 11, 20, 14, 28, 1, 337214, tzinfo=UTC)


def test_missing_calibration_is_told_so() -> None:
    with pytest.raises(NotAvailable):
        judge(made_response("/api/jobs/8/calibration", b'{"error": "no calibration data available"}'))
