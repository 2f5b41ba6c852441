"""A reply that is no usable success raises, with the server's words, whatever its status."""

import pytest
import requests
from loopback import loopback

from astrometry_client import errors
from astrometry_client.session.status_errors import SessionErrorMixin


class ErrorSession(SessionErrorMixin, requests.Session):
    pass


@pytest.fixture
def server():
    with loopback() as server:
        yield server


@pytest.fixture
def session():
    with ErrorSession() as session:
        yield session


BAD_KEY = b'{"status": "error", "errormessage": "bad apikey"}'
SORRY = b"<html><title>Sorry, closed</title></html>"


def test_usable_reply_is_returned(server, session):
    assert session.get(server.url + "/api/jobs/1").json() == {"status": "success"}


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, BAD_KEY, errors.LoginFailedException, "bad apikey"),
        (503, SORRY, errors.Overloaded, "Sorry, closed"),
        (404, b"", errors.NotFound, None),
        (401, b"", errors.ServerRefused, None),
        (200, SORRY, errors.MalformedReply, None),
        (418, b"I am a teapot", errors.ServerRefused, "I am a teapot"),
    ],
)
def test_other_reply_raises_with_the_servers_words(status, body, error, words, server):
    server.answer = lambda _: (status, {}, body)
    with ErrorSession() as session, pytest.raises(error) as caught:
        session.post(server.url + "/api/login")
    assert type(caught.value) is error
    assert caught.value.server_message == words
    assert caught.value.response.status_code == status
    assert isinstance(caught.value, requests.RequestException)


def test_judging_can_be_switched_off(server, session):
    server.answer = lambda _: (503, {}, SORRY)
    assert session.get(server.url, raise_for_status=False).content == SORRY


def test_streamed_body_is_left_to_the_caller(server, session):
    server.answer = lambda _: (200, {}, b"SIMPLE  =".ljust(2880))
    with session.get(server.url + "/wcs_file/1", stream=True) as response:
        assert response.raw.read(9) == b"SIMPLE  ="


def test_streamed_error_is_judged(server, session):
    server.answer = lambda _: (500, {}, b"")
    with pytest.raises(errors.NotAvailable):
        session.get(server.url + "/wcs_file/1", stream=True)
