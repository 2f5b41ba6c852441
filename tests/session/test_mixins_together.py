"""The four behaviours work alone, in any order, and together."""

from itertools import permutations

import pytest
import requests
from loopback import loopback

from astrometry_client import errors
from astrometry_client.session.auth import SessionAuthMixin
from astrometry_client.session.files import SessionFileMixin
from astrometry_client.session.status_errors import SessionErrorMixin
from astrometry_client.session.user_agent import SessionUserAgentMixin

MIXINS = (SessionAuthMixin, SessionErrorMixin, SessionFileMixin, SessionUserAgentMixin)


def in_order(mixins) -> str:
    return "-".join(mixin.__name__.removeprefix("Session").removesuffix("Mixin") for mixin in mixins)


@pytest.mark.parametrize("order", list(permutations(MIXINS)), ids=in_order)
def test_all_four_work_in_any_order(order, tmp_path):
    path = tmp_path / "M31.fits"
    path.write_bytes(b"SIMPLE  =".ljust(2880))
    together = type("Together", (*order, requests.Session), {})
    with loopback() as server, together(url=server.url, token="abc", user_agent="survey/1") as session:
        session.post(server.url + "/api/upload", data={"request-json": "{}"}, files={"file": path})
        server.answer = lambda _: (200, {}, b'{"status": "error", "errormessage": "bad apikey"}')
        with pytest.raises(errors.LoginFailedException):
            session.post(server.url + "/api/login", access_token="once")
        assert session.post(server.url + "/api/login", raise_for_status=False).ok
        upload, login, again = server.received
    assert upload.headers["authorization"] == again.headers["authorization"] == "Bearer abc"
    assert login.headers["authorization"] == "Bearer once"
    assert upload.headers["user-agent"].startswith("survey/1 astrometry-client/")
    assert upload.body.count(path.read_bytes()) == 1


@pytest.mark.parametrize("mixin", MIXINS)
def test_unknown_keyword_is_not_swallowed(mixin):
    with pytest.raises(TypeError):
        type("Alone", (mixin, requests.Session), {})(nonsense=1)
