"""Every recorded reply is judged, and the ways a reply can be spoilt are noticed."""

import json
import time
from email.utils import formatdate
from fnmatch import fnmatchcase

import attrs
import pytest
from made_responses import made_response, recorded_response
from recordings import Recording, recording, recordings

from astrometry_client import errors
from astrometry_client.session.replies import (
    FIRST_BYTES,
    is_final,
    is_transient,
    judge,
    judge_end,
    judge_head,
    retry_after_s,
)

OK = type(None)
NO_REPLY = ConnectionError

# Every recording matches exactly one line.
EXPECTED: dict[type, tuple[str, ...]] = {
    OK: (
        "login_ok*",
        "login_head",
        "upload_6mb_garbage",
        "upload_arg_center_*",
        "upload_arg_commercial_bogus",
        "upload_arg_crpix_center",
        "upload_arg_downsample_float",
        "upload_arg_infinity",
        "upload_arg_invert",
        "upload_arg_nan",
        "upload_arg_parity_7",
        "upload_arg_public_n",
        "upload_arg_radius_neg",
        "upload_arg_scale_*",
        "upload_arg_sextractor_strfalse",
        "upload_arg_tweak_99",
        "upload_arg_unknown_arg",
        "upload_blank_png",
        "upload_empty_file",
        "upload_file_*",
        "upload_gz_image",
        "upload_no_file_no_xy",
        "upload_targz_two_images",
        "upload_text_file",
        "upload_truncated_jpeg",
        "upload_with_url_arg",
        "upload_x_only",
        "upload_xy_empty",
        "upload_xy_nan",
        "upload_xy_no_image_size",
        "upload_xy_numeric_strings",
        "upload_xy_ok",
        "upload_zip_image",
        "url_upload_404",
        "url_upload_conn_refused",
        "url_upload_ftp_scheme",
        "url_upload_no_such_host",
        "url_upload_ok",
        "url_upload_trailing_slash",
        "url_upload_very_long",
        "url_upload_with_query",
        "myjobs_ok",
        "jobs_by_tag*",
        "submission_after_solver_restart",
        "submission_final_*",
        "submission_head",
        "submission_images_ok",
        "submission_images_other_user",
        "submission_not_started_file_again",
        "submission_post",
        "submission_solver_down",
        "submission_state__*",
        "submission_trailing_slash",
        "submission_while_solving",
        "submission_with_cookie",
        "job_status_*",
        "job_info_failed",
        "job_info_solved_noslash",
        "job_tags_failed",
        "job_tags_solved*",
        "job_tags_while_solving",
        "job_machine_tags_failed",
        "job_machine_tags_solved*",
        "job_machine_tags_while_solving",
        "job_objects_in_field_solved",
        "job_calibration_solved_post",
        "job_calibration_xy",
        "job_annotations_solved*",
        "job_annotations_xy",
        "hidden_job_info_no_auth",
        "file_*_file__cookie",
        "file_axy_file__*referer",
        "file_corr__any_referer",
        "file_corr_file__referer",
        "file_corr_file__slash_referer",
        "file_new_fits_file__head",
        "file_new_fits_file__slash_referer",
        "file_new_fits_file__xylist_job",
        "file_rdls_file__*referer",
        "file_image_rd_file__*referer",
        "file_image_rd_file__xylist_job",
        "file_wcs_file__*referer",
        "file_wcs_file__gzip",
        "file_wcs_file__head",
        "file_wcs_file__ims",
        "file_wcs_file__xylist_job",
        "file_annotated_display__cookie",
        "file_annotated_display__referer",
        "file_annotated_display__slash_referer",
        "file_annotated_display__xylist_job",
        "file_red_green_image_display__referer",
        # The server draws the stars it extracted, solved or not.
        "file_extraction_image_display__[!u]*",
        "file_joblog__[!uw]*",
        "file_joblog2__[!u]*",
    ),
    errors.LoginFailedException: ("login_bad_apikey", "login_empty_apikey", "login_apikey_*"),
    errors.StaleSession: (
        "upload_purged_session",
        "upload_expired_session",
        "upload_anonymous_session",
        "upload_session_empty",
        "upload_session_null",
        "url_upload_bad_session",
        "myjobs_bad_session",
    ),
    errors.NotFound: (
        "job*_unknown",
        "submission_unknown*",
        "submission_negative",
        "submission_zero",
        "submission_images_missing",
        "file_annotated_display__unknown_job",
        "file_axy_file__unknown_job",
        "file_corr_file__unknown_job",
        "file_extraction_image_display__unknown_job",
        "file_image_rd_file__unknown_job",
        "file_joblog*__unknown_job",
        "file_new_fits_file__unknown_job",
        "file_rdls_file__unknown_job",
        "file_red_green_image_display__unknown_job",
        # An unknown address is answered with the home page or, if something was posted, with 403.
        # Neither changes by waiting, so it is neither a malformed reply nor a call for a pause.
        "api_root",
        "api_unknown_endpoint_get",
        "job_bogus_sub_resource",
        "job_non_numeric",
        "job_none",
        "submission_no_id*",
        "submission_non_numeric",
        "file_wcs_file__nonnumeric",
        "file_wcs_file__post*",
        "login_double_slash",
    ),
    errors.NotAvailable: (
        "job_annotations_failed",
        "job_annotations_while_solving",
        "job_calibration_failed",
        "job_calibration_while_solving",
        "file_annotated_display__failed_job",
        "file_annotated_display__no_axy_job",
        "file_annotated_display__while_solving",
        "file_axy_file__while_solving",
        "file_corr_file__no_axy_job",
        "file_corr_file__while_solving",
        "file_image_rd_file__failed_job",
        "file_image_rd_file__no_axy_job",
        "file_new_fits_file__failed_job",
        "file_new_fits_file__no_axy_job",
        "file_rdls_file__failed_job",
        "file_rdls_file__while_solving",
        "file_wcs_file__failed_job",
        "file_wcs_file__no_axy_job",
        "file_wcs_file__while_solving",
        "file_joblog__while_solving",
        "file_kml_file__*",
    ),
    errors.ServerRefused: (
        "ask_human",
        "file_annotated_display__noreferer",
        "file_corr_file__noreferer",
        "file_red_green_image_display__noreferer",
        "login_content_type_json",
        "login_get_query",
        "login_json_string",
        "login_malformed_json",
        "login_no_json_*",
        "login_options",
        "login_put",
        "myjobs_get*",
        "job_annotations_nbright_bad",
        "job_dashes",
        "sdss_image_for_wcs",
        "submission_dashes",
        "submission_huge",
        "submission_images_bad",
        "submission_images_get",
        "submission_images_no_session",
        "upload_arg_album_missing",
        "upload_arg_downsample_neg",
        "upload_arg_huge_int",
        "upload_arg_parity_neg",
        "upload_arg_parity_str",
        "upload_cookie_but_no_json_session",
        "upload_malformed_json",
        "upload_no_json*",
        "upload_no_session_with_file",
        "upload_session_number",
        "upload_xy_length_mismatch",
        "upload_xy_not_numbers",
        "upload_xy_too_big_*",
        "url_upload_no_session",
    ),
    NO_REPLY: ("file_red_green_image_display__failed_job", "file_red_green_image_display__no_axy_job"),
}
ALL = recordings()


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def was_cut(record: Recording) -> bool:
    """Whether the recorder kept less than it got (it replaced some paths, which changes lengths a little)."""
    return record.method != "HEAD" and record.body_length > 2048


def verdict(record: Recording) -> type:
    if record.status is None:
        return NO_REPLY
    if record.body.startswith(b'{"status": "error"') and was_cut(record):
        # The server echoed 246 kB; close the sentence where the recorder stopped.
        record = attrs.evolve(record, body=record.body.rpartition(b"\\")[0].rstrip(b"\\") + b'"}')
    response = recorded_response(record)
    try:
        if was_cut(record) and not record.body.endswith(b'"}'):
            response.headers["Content-Length"] = str(record.body_length)
            judge_head(response, record.body)
        else:
            judge(response)
    except (errors.ServerRefused, errors.NoUsableReply) as error:
        return type(error)
    return OK


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)
def test_recorded_reply_is_judged_as_expected(record):
    fitting = [
        kind for kind, names in EXPECTED.items() if any(fnmatchcase(record.name, name) for name in names)
    ]
    assert len(fitting) == 1, f"{record.name} needs exactly one expectation, has {fitting}"
    assert verdict(record) is fitting[0]


def test_all_recordings_were_seen_and_no_expectation_is_idle():
    assert len(ALL) >= 275
    names = [record.name for record in ALL]
    idle = [
        name for group in EXPECTED.values() for name in group if not any(fnmatchcase(n, name) for n in names)
    ]
    assert not idle


def error_of(response) -> Exception:
    with pytest.raises((errors.ServerRefused, errors.NoUsableReply)) as caught:
        judge(response)
    return caught.value


FITS = b"SIMPLE  =                    T".ljust(2880)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50) + b"IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0" + bytes(50) + b"\xff\xd9"
PAGE = b"<!DOCTYPE html><html><title>Sorry</title></html>"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/jobs/1", b'{"status": "success"}'),
        ("/prefix/api/jobs/1/", b' {"status": "failure"}'),
        ("/wcs_file/1", FITS),
        ("/annotated_display/1", JPEG),
        ("/annotated_full/1", PNG),
        ("/joblog/1", b"solved"),
        ("/user_images/1", PAGE),
        ("/api/of/another/kind", b"[1, 2]"),
    ],
)
def test_usable_reply_is_accepted(path, body):
    judge(made_response(path, body))


@pytest.mark.parametrize(("path", "body"), [("/wcs_file/1", FITS), ("/annotated_display/1", PNG)])
def test_data_is_data_even_if_it_is_declared_as_a_page(path, body):
    judge(made_response(path, body, headers={"Content-Type": "text/html"}))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/jobs/1", b'{"status": "succ'),
        ("/api/jobs/1", b"[1]"),
        ("/api/jobs/1", b""),
        ("/api/jobs/1", b'{"a":' * 100_000),
        ("/api/jobs/1", b'{"a": "\xff"}'),
        ("/api/jobs/1", PAGE),
        ("/wcs_file/1", PAGE),
        ("/wcs_file/1", FITS[:-1]),
        ("/wcs_file/1", b"\x89PNG" + bytes(2876)),
        ("/wcs_file/1", b""),
        ("/annotated_display/1", JPEG[:-1]),
        ("/annotated_display/1", PNG[:-4]),
        ("/annotated_display/1", FITS),
        ("/joblog/1", PAGE),
    ],
)
def test_spoilt_reply_is_malformed_and_worth_another_try(path, body):
    error = error_of(made_response(path, body))
    assert type(error) is errors.MalformedReply
    assert is_transient(error)
    assert not is_final(made_response(path, body))


def test_home_page_in_place_of_a_job_is_malformed_not_unknown():
    response = made_response("/api/jobs/1", recording("api_root").body, headers={"Content-Type": "text/html"})
    assert type(error_of(response)) is errors.MalformedReply


@pytest.mark.parametrize("path", ["/api/jobs/1", "/wcs_file/1", "/user_images/1"])
def test_body_shorter_than_promised_is_malformed(path):
    body = FITS if "wcs" in path else b'{"status": "success"}'
    response = made_response(path, body, headers={"Content-Length": str(len(body) + 2880)})
    assert "was cut after" in str(error_of(response))


def test_length_of_a_packed_body_is_not_compared():
    packed = {"Content-Length": "20", "Content-Encoding": "gzip"}
    judge_end(made_response("/wcs_file/1", headers=packed), b"", 2880)


def test_streamed_file_is_judged_by_its_ends():
    response = made_response("/wcs_file/1", headers={"Content-Length": "5760"})
    judge_head(response, FITS)
    judge_end(response, bytes(64), 5760)
    with pytest.raises(errors.MalformedReply):
        judge_end(response, bytes(64), 2880)
    with pytest.raises(errors.MalformedReply):
        judge_head(response, PAGE)
    assert len(FITS) == FIRST_BYTES


@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize("path", ["/api/jobs/5", "/wcs_file/5", "/user_images/5"])
def test_call_for_a_pause_carries_how_long(status, path):
    error = error_of(made_response(path, PAGE, status=status, headers={"Retry-After": "17"}))
    assert type(error) is errors.Overloaded
    assert (error.status, error.retry_after_s, error.server_message) == (status, 17.0, "Sorry")
    assert is_transient(error)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_failure_of_the_api_is_worth_another_try(status):
    error = error_of(made_response("/api/jobs/5", PAGE, status=status))
    assert type(error) is errors.ServerRefused
    assert is_transient(error)


def test_failure_of_a_gateway_is_not_taken_for_a_missing_file():
    assert type(error_of(made_response("/wcs_file/5", PAGE, status=500))) is errors.NotAvailable
    assert type(error_of(made_response("/wcs_file/5", PAGE, status=502))) is errors.ServerRefused


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (errors.ReplyTimeout(), True),
        (errors.Unreachable(), True),
        (errors.RateLimitExceeded(), False),
        (errors.OutcomeUnknown(), False),
        (errors.NotFound(status=404), False),
        (errors.NotAvailable(status=500), False),
        (errors.StaleSession(status=200), False),
        (errors.LoginFailedException(status=200), False),
        (errors.ServerRefused(status=400), False),
        (ValueError(), False),
    ],
)
def test_only_passing_trouble_is_transient(error, transient):
    assert is_transient(error) is transient


def test_refusal_in_json_keeps_its_meaning_under_any_status():
    body = b'{"status": "error", "errormessage": "bad apikey"}'
    assert type(error_of(made_response("/api/login", body, status=401))) is errors.LoginFailedException


def test_missing_referer_is_named_after_the_redirect_too():
    response = recorded_response(recording("ask_human"))
    response.history = [recorded_response(recording("file_corr_file__noreferer"))]
    error = error_of(response)
    assert "Referer" in str(error)
    assert error.url.endswith("/corr_file/2")
    assert error.job_id == 2


def test_redirected_post_says_that_its_body_got_lost():
    response = made_response(
        "/api/upload", b'{"status": "error", "errormessage": "no json"}', site="https://new.example"
    )
    response.history = [made_response("/api/upload", method="POST", status=301)]
    assert "https://new.example/api/upload" in str(error_of(response))


def test_redirect_nobody_followed_is_left_to_the_caller():
    judge(made_response("/api/jobs/1", status=302, headers={"Location": "/elsewhere"}))


def test_error_names_the_ids_in_the_address():
    assert error_of(made_response("/api/jobs/5/info/", status=404)).job_id == 5
    assert error_of(made_response("/api/submissions/7", status=404)).submission_id == 7


KEY = "qwertyuiopasdfgh"


@pytest.mark.parametrize(
    "echo",
    [
        'failed to parse JSON: "{"apikey": "qwertyuiopasdfgh"',
        "failed to parse JSON: \"{'apikey': 'qwertyuiopasdfgh'}\"",
        'failed to parse JSON: "qwertyuiopasdfgh"',
        "apikey=qwertyuiopasdfgh",
        'no session with key "qwertyuiopasdfgh"',
        "x" * 2990 + " qwertyuiopasdfgh",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_error_never_echoes_a_key(echo, status):
    body = json.dumps({"status": "error", "errormessage": echo}).encode()
    sent = {"request-json": json.dumps({"apikey": KEY})}
    error = error_of(made_response(f"/api/login?apikey={KEY}", body, method="POST", status=status, sent=sent))
    for text in (str(error), repr(error), error.server_message, error.url):
        assert KEY not in text
        assert len(text) < 600


@pytest.mark.parametrize(
    ("name", "final"),
    [
        ("job_annotations_solved", True),
        ("job_calibration_xy", True),
        ("job_calibration_solved_post", False),
        ("job_calibration_failed", False),
        ("job_info_solved_noslash", True),
        ("job_info_failed", False),
        ("job_machine_tags_solved", True),
        ("job_machine_tags_while_solving", False),
        ("job_objects_in_field_solved", True),
        ("job_tags_solved", False),
        ("job_status_success", False),
        ("job_unknown", False),
        ("submission_final_garbage", False),
        ("jobs_by_tag", False),
        ("login_ok", False),
        ("upload_file_ok", False),
        ("file_wcs_file__while_solving", False),
        ("file_joblog2__noreferer", False),
        ("file_new_fits_file__failed_job", False),
        ("file_wcs_file__head", False),
    ],
)
def test_only_what_never_changes_is_final(name, final):
    record = recording(name)
    response = recorded_response(record)
    if was_cut(record) and record.body.startswith(b"{"):
        response = made_response(record.path, b'{"status": "success", "annotations": []}')
    assert is_final(response) is final


def test_result_file_is_final():
    assert is_final(made_response("/wcs_file/1", FITS))
    assert is_final(made_response("/annotated_display/1", JPEG))


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0.0),
        # Our clock may be wrong; the server compares with its own.
        (
            {"Retry-After": formatdate(NOW + 500, usegmt=True), "Date": formatdate(NOW + 470, usegmt=True)},
            30.0,
        ),
        ({"Retry-After": formatdate(NOW + 5, usegmt=True), "Date": "yesterday"}, 5.0),
    ],
)
def test_stated_delay_is_read_in_both_forms(headers, seconds, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert retry_after_s(made_response("/api/jobs/1", headers=headers)) == seconds
