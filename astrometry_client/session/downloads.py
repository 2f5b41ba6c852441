"""Result files of any size onto the disk: judged by their beginning and end, whole or not there at all."""

import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from requests_cache.policy.expiration import get_expiration_datetime, get_url_expiration

from astrometry_client.session.bodies import blocks, read_body, was_read
from astrometry_client.session.caching import ReplyCache, as_stored
from astrometry_client.session.dry_run import dry_answer
from astrometry_client.session.endpoints import Kind, endpoint_of
from astrometry_client.session.replies import FIRST_BYTES, judge, judge_end, judge_head
from astrometry_client.session.reply_store import ReplyStore
from astrometry_client.session.requesting import Timeout, log_request, prepared
from astrometry_client.whole_file import write_whole, writing_whole

if TYPE_CHECKING:
    from astrometry_client.session.client_session import ClientSession

__all__ = ["copy_stored", "download", "save_body"]

_END_BYTES = 64
"""What `judge_end` needs of the end of a body."""


def download(
    session: "ClientSession",
    url: str,
    path: str | os.PathLike[str],
    *,
    headers: Mapping[str, str | bytes | None] | None = None,
    timeout: Timeout = None,
    dry_run: bool | None = None,
    force_refresh: bool = False,
) -> Path:
    """Write a result file to the disk in constant memory, and return its path.

    The file is there whole or not at all. It is fetched again, kept and taken from the cache as any read
    is. A dry run writes a stand-in, unless there is a file.

    Parameters
    ----------
    path
        Where to; a file of that name is replaced.
    timeout, dry_run, force_refresh
        See `ClientSession.send`.
    """
    started_s = time.perf_counter()
    target = Path(path)
    request = prepared(session, requests.Request("GET", url, headers=headers))
    if session.answers_dry("GET", url, dry_run):
        answer = dry_answer(request)
        if not target.exists():
            write_whole(target, answer.content)
        log_request(request, answer.status_code, started_s, "dry run")
        return target
    store = _store_for(session, url)
    key = session.cache.create_key(request, verify=session.verify)
    found = store.find(key) if store and not force_refresh else None
    if found is not None and (found[0].expires_s or math.inf) > time.time():
        copy_stored(found[1], target)
        log_request(request, found[0].status, started_s, "cached")
        return target
    timeouts = session.timeouts("GET", timeout)

    def receive(response: requests.Response) -> requests.Response:
        save_body(response, target, grace_s=timeouts[1])
        return response

    response = session.exchange(request, receive, is_read=True, timeout=timeouts)
    if store and not session.settings.read_only:
        expiry = get_url_expiration(url, session.settings.urls_expire_after) or session.settings.expire_after
        store.put(key, as_stored(response, get_expiration_datetime(expiry)), target)
    log_request(request, response.status_code, started_s)
    return target


def save_body(response: requests.Response, path: Path, *, grace_s: float | None) -> None:
    """Write the body of a streamed reply to a file, in constant memory.

    Parameters
    ----------
    path
        Takes its name only when the whole body arrived and was judged to be what was asked for.
    grace_s
        See `blocks`.
    """
    if _fits_in_memory(response):
        if not was_read(response):
            read_body(response, grace_s=grace_s)
        judge(response)
        write_whole(path, response.content)
        return
    arriving = blocks(response, grace_s=grace_s)
    first = _first_bytes(arriving)
    judge_head(response, first[:FIRST_BYTES])
    with writing_whole(path) as file:
        file.write(first)
        size_bytes, end = len(first), first[-_END_BYTES:]
        for block in arriving:
            file.write(block)
            size_bytes += len(block)
            end = (end + block)[-_END_BYTES:]
        judge_end(response, end, size_bytes)


def _store_for(session: "ClientSession", url: str) -> ReplyStore | None:
    """Return where a file is kept, if it is one that never changes."""
    if not (endpoint_of(url).result_file and session.consults_cache("GET", url)):
        return None
    return session.cache.store if isinstance(session.cache, ReplyCache) else None


def copy_stored(body: bytes | Path, path: Path) -> None:
    """Write a stored body to a file, whole or not at all."""
    if isinstance(body, bytes):
        write_whole(path, body)
        return
    with body.open("rb") as source, writing_whole(path) as file:
        shutil.copyfileobj(source, file)


def _fits_in_memory(response: requests.Response) -> bool:
    """Return whether a reply is judged as a whole: pages of errors and JSON are small."""
    return was_read(response) or response.status_code >= 400 or endpoint_of(response.url).kind is Kind.JSON


def _first_bytes(arriving: Iterator[bytes]) -> bytes:
    first = b""
    for block in arriving:
        first += block
        if len(first) >= FIRST_BYTES:
            break
    return first
