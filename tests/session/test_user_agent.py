"""Servers learn who is asking."""

import importlib.metadata

import pytest
import requests
from loopback import loopback

from astrometry_client.errors import InputError
from astrometry_client.session.user_agent import SessionUserAgentMixin, user_agent_header

OURS = f"astrometry-client/{importlib.metadata.version('astrometry-client')}"
LIBRARY = f"python-requests/{requests.__version__}"


class AgentSession(SessionUserAgentMixin, requests.Session):
    pass


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, f"{OURS} {LIBRARY}"),
        ("", f"{OURS} {LIBRARY}"),
        ("survey/2.1", f"survey/2.1 {OURS} {LIBRARY}"),
        ("survey/2.1 (me@example.org)", f"survey/2.1 (me@example.org) {OURS} {LIBRARY}"),
        ("me@example.org", f"{OURS} (+me@example.org) {LIBRARY}"),
        ("(+https://example.org/me)", f"{OURS} (+https://example.org/me) {LIBRARY}"),
        ("https://example.org", f"{OURS} (+https://example.org) {LIBRARY}"),
    ],
)
def test_header_names_program_and_contact(given, sent):
    assert user_agent_header(given) == sent
    with loopback() as server, AgentSession(user_agent=given) as session:
        session.get(server.url)
        assert server.received[0].headers["user-agent"] == sent


@pytest.mark.parametrize("given", ["a\r\nX: y", "jörg@example.org", "tab\there"])
def test_what_cannot_be_a_header_is_refused(given):
    with pytest.raises(InputError, match="user_agent="):
        AgentSession(user_agent=given)


def test_whole_header_can_be_replaced():
    with loopback() as server, AgentSession() as session:
        session.headers["User-Agent"] = "mine/1"
        session.get(server.url)
        assert server.received[0].headers["user-agent"] == "mine/1"
