"""What people read holds no secret, and enough to understand what happened."""

import io
import json

import pytest
import requests
from made_responses import made_response

from astrometry_client.session.files import streamed_form
from astrometry_client.session.formatting import (
    format_request,
    format_response,
    redact_headers,
    redact_text,
    redact_url,
    secrets_of,
)

KEY = "qwertyuiopasdfgh"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"apikey": "{KEY}"}}',
        f"{{'apikey': '{KEY}', 'x': 1}}",
        f'{{\\"apikey\\": \\"{KEY}\\"}}',
        f"request-json=%7B%22apikey%22%3A+%22{KEY}%22%7D",
        f"next=%2Fx%3Frequest-json%3D%257B%2522session%2522%253A%2522{KEY}%2522",
        f'{{"session":"{KEY}',
        f"api_key = {KEY}",
        f'no session with key "{KEY}"',
        f'no session with key \\"{KEY}\\"',
        f"Authorization: Bearer {KEY}",
        f"{{'Authorization': 'Bearer {KEY}', 'Accept': '*/*'}}",
        f"authorization: Basic {KEY}==",
        f"got Bearer {KEY}",
        f"Cookie: sessionid={KEY}; csrftoken={KEY}",
        f'Set-Cookie: NovaAstrometrySession="{KEY}"; Path=/',
        f"https://user:{KEY}@host/path",
        f"https://host/?access_token={KEY}&page=2",
        f"password={KEY}",
        f"session_key: {KEY}",
    ],
)
def test_secret_is_removed_in_every_dress(text):
    assert KEY not in redact_text(text)
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        'no "session" in JSON.',
        "user is not authenticated.",
        'need "apikey"',
        '{"status": "success", "subid": 12, "hash": "6689d93f85b1dfb30fb6532451d784057252e3c0"}',
        "the session was closed: retrying",
        "https://nova.astrometry.net/api/jobs_by_tag?query=M31&exact=1",
    ],
)
def test_harmless_text_is_left_alone(text):
    assert redact_text(text) == text


def test_text_around_a_secret_stays():
    assert redact_text(f'{{"apikey": "{KEY}", "x": [1]}}') == '{"apikey": "***", "x": [1]}'
    assert redact_url(f"https://host/a?token={KEY}&page=2") == "https://host/a?token=***&page=2"
    assert redact_url(None) == ""


def test_given_secret_is_removed_without_its_name():
    assert redact_text(f"bad key {KEY}!", [KEY]) == "bad key ***!"


def test_headers_that_carry_secrets_are_hidden_whatever_their_case():
    shown = redact_headers(
        {"authorization": KEY, "COOKIE": KEY.encode(), "Referer": f"https://h/?token={KEY}", "A": b"b"}
    )
    assert KEY not in str(shown)
    assert shown["A"] == "b"


def prepared(**kwargs) -> requests.PreparedRequest:
    return requests.Request("POST", "https://nova.astrometry.net/api/login", **kwargs).prepare()


def test_secrets_of_a_request_are_found_in_form_query_and_header():
    sent = prepared(
        data={"request-json": json.dumps({"apikey": KEY})},
        params={"access_token": "from-the-query"},
        headers={"Authorization": "Bearer from-the-header"},
    )
    assert set(secrets_of(sent)) == {KEY, "from-the-query", "from-the-header"}
    assert secrets_of(None) == ()
    assert secrets_of(prepared(data={"request-json": json.dumps({"apikey": None, "session": "x"})})) == ()


def test_request_is_shown_with_form_but_without_key():
    text = format_request(
        prepared(data={"request-json": json.dumps({"apikey": KEY, "scale": 3})}, cookies={"a": KEY})
    )
    assert text.startswith("POST https://nova.astrometry.net/api/login\n")
    assert '"scale": 3' in text
    assert KEY not in text


def test_uploaded_bytes_are_counted_not_shown():
    assert "bytes of multipart/form-data>" in format_request(
        prepared(files={"file": ("m31.fits", b"\0" * 99)})
    )
    assert "BytesIO" in format_request(prepared(data=io.BytesIO(b"abc")))


def test_streamed_upload_is_named_without_its_session_key():
    form = streamed_form({"request-json": json.dumps({"session": KEY})}, {"file": ("m31.fits", b"x" * 99)})
    sent = prepared(data=form)
    assert secrets_of(sent) == (KEY,)
    assert "m31.fits" in format_request(sent)
    assert KEY not in format_request(sent)


def reply(body: bytes, **kwargs) -> requests.Response:
    return made_response(
        "/api/login", body, method="POST", sent={"request-json": json.dumps({"apikey": KEY})}, **kwargs
    )


def test_reply_is_shown_without_keys():
    response = reply(f'{{"status": "success", "session": "{KEY[::-1]}", "echo": "{KEY}"}}'.encode())
    assert response.content
    text = format_response(response)
    assert '"status": "success"' in text
    assert KEY not in text
    assert KEY[::-1] not in text


def test_binary_and_long_replies_are_cut():
    picture = reply(b"\x89PNG" + bytes(5000), headers={"Content-Type": "image/png"})
    page = reply(b"x" * 5000)
    assert picture.content
    assert page.content
    assert "<5004 bytes of image/png>" in format_response(picture)
    assert len(format_response(page)) < 1300


def test_showing_a_streamed_reply_does_not_read_it():
    response = reply(b"still here")
    assert "<body not read>" in format_response(response)
    assert response.content == b"still here"
