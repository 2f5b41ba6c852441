"""Every default, with its unit and its reason. The environment is read when an object is built."""

import enum
import os
from pathlib import Path
from typing import Final

import attrs
import platformdirs

APP_NAME: Final = "astrometry-client"


class NotGiven(enum.Enum):
    """The type of `NOT_GIVEN`, which tells "not given" from `None`, "off"."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


@attrs.frozen(kw_only=True)
class Defaults:
    """The defaults, one value each."""

    base_url: str = "https://nova.astrometry.net"
    """The maintainers ask for https (astrometry.net API documentation, read 2026-11)."""

    per_second: float = 1.0
    """Requests a second to a public server. A script that asked every second for long was answered 403."""

    per_minute: float = 30.0
    """Requests a minute to a public server: half the pace at which users were blocked."""

    timeout_s: float = 30.0
    """Longest silence of a read. Result files of nova are drawn on demand and take several seconds."""

    write_timeout_s: float = 300.0
    """Longest silence after an upload: the server hashes and stores the whole file before it answers."""

    connect_timeout_s: float = 10.0
    """Longest wait for a connection to open."""

    max_retries: int = 5
    """Repeats of a failed read after its first attempt."""

    retry_time_s: float = 300.0
    """No repeat starts later than this after the first attempt."""

    backoff_factor: float = 0.5
    """Seconds; the n-th repeat waits up to `backoff_factor * 2**n`, with jitter."""

    backoff_max_s: float = 60.0
    """Longest back-off between two attempts, unless the server names a longer one."""

    overload_factor: float = 5.0
    """Seconds, in place of `backoff_factor` after 403, 429 or 503: the official client looks every 5 s."""

    slowest_bytes_per_s: float = 100.0
    """A reply that comes slower than this is given up: modems were faster."""

    cache_size_bytes: int = 500_000_000
    """Most that stored replies may take; the longest unused go first. About 50,000 calibrated images."""

    cache_file_bytes: int = 1_048_576
    """Bodies above this size are stored as files beside the database, which stays quick."""

    cache_lock_s: float = 5.0
    """Longest wait for another process that writes to the cache; the reply is not stored then."""

    solve_timeout_s: float = 900.0
    """Longest wait for one solve: solvers give up after 10 minutes, queues are minutes long."""

    max_unfinished: int = 16
    """Images in work at once. nova runs 16 solvers and serves users in turns: more buys nothing."""

    upload_threads: int = 4
    """Uploads on their way at once: enough to hide the server's silence after each, too few to crowd it."""

    read_threads: int = 4
    """Looks and downloads on their way at once: nova answers within a second, and asks to be asked little."""

    lease_s: float = 30.0
    """An image a batch has in hand is free for others so long after the batch died. Renewed three times as
    often, so that a busy machine may miss two."""

    ledger_lock_s: float = 30.0
    """Longest wait for another process that writes to the ledger. A step takes milliseconds."""


DEFAULTS: Final = Defaults()


def cache_dir() -> Path:
    """Return the folder of stored replies and rates: `ASTROMETRY_CACHE_DIR`, else the user's cache folder."""
    chosen = os.environ.get("ASTROMETRY_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir(APP_NAME))


def state_dir() -> Path:
    """Return the folder of logins and the ledger: `ASTROMETRY_STATE_DIR`, else the user's state folder."""
    chosen = os.environ.get("ASTROMETRY_STATE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_state_dir(APP_NAME))


def config_file() -> Path:
    """Return the file that may hold the API key: `config.ini` in the user's configuration folder."""
    return Path(platformdirs.user_config_dir(APP_NAME)) / "config.ini"
