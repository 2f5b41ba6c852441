"""The session as a whole: the order of things, tokens, settings, and what it gives back."""

import logging
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests
from arrivals import ManualTime
from faulty_server import Answer, Fault, FaultyServer, answer_json
from pyrate_limiter import Rate
from requests_cache import CacheMixin
from requests_ratelimiter import LimiterMixin
from urllib3 import filepost

from astrometry_client import errors
from astrometry_client.session import ClientSession
from astrometry_client.session.slot_limiter import SlotLimiter

CUT_JSON = Answer(body=b'{"status": "succ')


@attrs.define
class CountingLimiter:
    """A limiter that lets everything through and writes down what it was asked."""

    taken: list[str] = attrs.field(factory=list)
    penalties: list[float] = attrs.field(factory=list)
    bucket_factory: Any = None

    def try_acquire(self, name: str, **_: Any) -> bool:
        self.taken.append(name)
        return True

    def penalize(self, name: str, seconds: float) -> None:
        self.penalties.append(seconds)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def counted(session: ClientSession) -> CountingLimiter:
    """Replace the limiter of `session` by one that counts."""
    limiter = CountingLimiter()
    session.limiter = limiter
    session.limits_loopback = True
    return limiter


def test_it_is_the_session_its_parts_promise() -> None:
    assert issubclass(ClientSession, CacheMixin)
    assert issubclass(ClientSession, LimiterMixin)
    assert issubclass(ClientSession, requests.Session)


def test_every_attempt_takes_a_token(
    server: FaultyServer, session: ClientSession, counted: CountingLimiter
) -> None:
    server.script(CUT_JSON, Answer(fault=Fault.RESET_AFTER), Answer(status=503))
    session.get(f"{server.url}/api/jobs/1")
    assert len(counted.taken) == len(server.arrivals) == 4
    assert set(counted.taken) == {f"127.0.0.1:{server.port}"}


def test_every_redirect_takes_a_token(
    server: FaultyServer, session: ClientSession, counted: CountingLimiter
) -> None:
    server.script(*[Answer(status=302, headers={"Location": "/next"})] * 2)
    session.get(f"{server.url}/from")
    assert len(counted.taken) == len(server.arrivals) == 3


def test_writes_and_downloads_take_a_token(
    server: FaultyServer, session: ClientSession, counted: CountingLimiter, tmp_path: Path
) -> None:
    session.post(f"{server.url}/api/login")
    server.default = Answer(body=b"SIMPLE  =".ljust(2880), kind="application/fits")
    session.download(f"{server.url}/wcs_file/1", tmp_path / "wcs")
    assert len(counted.taken) == 2


def test_cache_hit_and_dry_run_take_none(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer_json({"ra": 1.0})
    with ClientSession(
        tmp_path / "replies.sqlite", per_second=1, ratelimit_path=tmp_path / "rates"
    ) as session:
        session.limiter = limiter = CountingLimiter()
        for _ in range(3):
            session.get(f"{server.url}/api/jobs/1/calibration")
        session.get(f"{server.url}/api/jobs/1", dry_run=True)
    assert len(limiter.taken) == 1


@pytest.mark.parametrize("status", [403, 429, 503])
def test_overload_makes_the_whole_budget_wait(
    server: FaultyServer, session: ClientSession, counted: CountingLimiter, status: int
) -> None:
    server.script(Answer(status=status, headers={"Retry-After": "30"}), Answer(status=status))
    session.get(f"{server.url}/api/jobs/1")
    assert counted.penalties == [30.5, 20]
    counted.penalties.clear()
    server.script(Answer(status=status))
    with pytest.raises(errors.Overloaded):
        session.post(f"{server.url}/api/upload")
    assert counted.penalties == [10]


def test_server_on_this_machine_is_not_limited_unasked(
    server: FaultyServer, session: ClientSession, counted: CountingLimiter
) -> None:
    session.limits_loopback = False
    server.script(Answer(status=503))
    session.get(f"{server.url}/api/jobs/1")
    assert (counted.taken, counted.penalties) == ([], [])


def test_public_server_is_limited_unasked() -> None:
    with ClientSession() as session:
        assert isinstance(session.limiter, SlotLimiter)
        assert session._is_limited(requests.Request("GET", "https://nova.astrometry.net/").prepare())
        assert not session._is_limited(requests.Request("GET", "http://127.0.0.1:8000/").prepare())


def test_limit_asked_for_holds_everywhere() -> None:
    with ClientSession(per_second=3) as session:
        assert session._is_limited(requests.Request("GET", "http://127.0.0.1:8000/").prepare())


def test_daily_limit_comes_on_top_of_the_defaults() -> None:
    with ClientSession() as default, ClientSession(per_day=1000) as daily, ClientSession(per_second=2) as own:
        assert set(default.limiter.windows) < set(daily.limiter.windows)
        assert len(own.limiter.windows) == 1


@pytest.mark.parametrize(
    ("rate", "left"),
    [(Rate(1, 5000), [(30, 60), (1, 5)]), (Rate(9, 90_000), [(1, 1), (9, 90)]), (Rate(1, 60_000), [(1, 60)])],
)
def test_default_gives_way_to_a_stricter_limit(rate: Rate, left: list[tuple[int, float]]) -> None:
    with ClientSession(additional_rate_limit=rate) as session:
        assert [(window.limit, window.interval_s) for window in session.limiter.windows] == left


def test_no_limit_is_none() -> None:
    with ClientSession(per_second=None, per_minute=None) as session:
        assert not session._is_limited(requests.Request("GET", "https://nova.astrometry.net/").prepare())
        assert "not limited" in repr(session)


def test_limits_that_cannot_hold_are_refused() -> None:
    with pytest.raises(errors.InputError):
        ClientSession(per_second=5, per_minute=5)


def test_same_settings_share_a_budget() -> None:
    with ClientSession() as one, ClientSession() as other, ClientSession(per_second=3) as different:
        assert one.limiter is other.limiter
        assert one.limiter is not different.limiter


def test_one_line_per_request(
    server: FaultyServer, session: ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="astrometry_client.session.requesting")
    session.get(f"{server.url}/api/jobs/1?session=SECRET")
    session.post(f"{server.url}/api/upload", dry_run=True)
    first, second = caplog.messages
    assert first.startswith("GET /api/jobs/1 200 ")
    assert first.endswith(" ms")
    assert second.startswith("POST /api/upload 200 ")
    assert second.endswith(" (dry run)")


def test_files_are_streamed_without_touching_urllib3(
    server: FaultyServer, session: ClientSession, tmp_path: Path
) -> None:
    boundary = filepost.choose_boundary
    image = tmp_path / "a.fits"
    image.write_bytes(b"SIMPLE  =")
    session.post(f"{server.url}/api/upload", data={"request-json": "{}"}, files={"file": image})
    (arrival,) = server.arrivals
    assert arrival.body.index(b"request-json") < arrival.body.index(b'filename="a.fits"')
    assert arrival.body_length == len(arrival.body)
    assert filepost.choose_boundary is boundary


def test_adapters_do_not_retry(session: ClientSession) -> None:
    for adapter in session.adapters.values():
        assert adapter.max_retries.total == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options", [{"max_retries": -1}, {"backoff_factor": -1}, {"nonsense": 1}, {"timeout": 0}]
)
def test_setting_that_is_not_allowed_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match=next(iter(options))):
        ClientSession(**options)


def test_refused_setting_is_not_shown_since_it_may_be_a_key() -> None:
    with pytest.raises(errors.InputError) as raised:
        ClientSession(api_key="TOPSECRET")
    assert "TOPSECRET" not in str(raised.value)


def test_missing_certificates_are_reported_at_once(session: ClientSession, manual_time: ManualTime) -> None:
    with pytest.raises(errors.InputError, match=r"missing\.pem"):
        session.get("https://127.0.0.1:9/api/jobs/1", verify="/missing.pem")
    assert manual_time.slept == []


def test_closed_session_can_be_used_again(server: FaultyServer, session: ClientSession) -> None:
    for _ in range(2):
        session.get(f"{server.url}/api/jobs/1")
        session.close()
    assert len(server.arrivals) == 2


def test_stream_leaves_the_body_on_the_wire(server: FaultyServer, session: ClientSession) -> None:
    with session.get(f"{server.url}/api/jobs/1", stream=True) as response:
        assert next(response.iter_content(5)) == b'{"sta'
    server.default = Answer(status=404, body=b"nothing")
    with pytest.raises(errors.NotFound):
        session.get(f"{server.url}/api/jobs/1", stream=True)


def test_prepared_request_has_the_same_guarantees(server: FaultyServer, session: ClientSession) -> None:
    server.script(CUT_JSON)
    prepared = session.prepare_request(requests.Request("GET", f"{server.url}/api/jobs/1"))
    assert session.send(prepared).json() == {"status": "success"}
    assert len(server.arrivals) == 2


def test_environment_names_the_proxy(
    server: FaultyServer, session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    session.get("http://nova.example/api/jobs/1", dry_run=False)
    assert server.arrivals[0].path == "http://nova.example/api/jobs/1"


def test_interrupted_wait_leaves_a_usable_session(
    server: FaultyServer, session: ClientSession, manual_time: ManualTime
) -> None:
    server.script(CUT_JSON)

    def interrupt() -> None:
        raise KeyboardInterrupt

    manual_time.during_sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        session.get(f"{server.url}/api/jobs/1")
    assert session.get(f"{server.url}/api/jobs/1").ok


def test_refresh_parameters_ask_the_server(session: ClientSession) -> None:
    assert session.get_refresh_params("calibration") == {"force_refresh": True}
