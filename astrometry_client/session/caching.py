"""Final replies, kept for all sessions of a user: what is stored, under which key, and without secrets."""

import hashlib
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs
import requests
from requests.structures import CaseInsensitiveDict
from requests_cache.backends.base import BaseCache, BaseStorage
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse

from astrometry_client.config import DEFAULTS, cache_dir
from astrometry_client.errors import NoUsableReply, ServerRefused
from astrometry_client.session.endpoints import UNKNOWN, endpoint_of
from astrometry_client.session.replies import is_final, judge
from astrometry_client.session.reply_store import ReplyStore, StoredReply

__all__ = ["CacheInfo", "ReplyCache", "cache_info", "cache_path", "clear_cache", "public_url", "shared_cache"]

_SECRET_PARAMETERS: Final = frozenset({"access_token", "api_key", "apikey", "session", "token"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_KEPT_HEADERS: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
    }
)
"""Headers that say something about the reply itself; cookies and whatever else a proxy adds are not kept."""


def cache_path() -> Path:
    """Return where replies are stored unless a session is told otherwise."""
    return cache_dir() / "replies.sqlite"


def public_url(url: str) -> str:
    """Return the URL in its plainest form: no password, key, fragment or default port, parameters sorted."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
        host = f"{host}:{parts.port}"
    parameters = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SECRET_PARAMETERS
    ]
    return urlunsplit((parts.scheme, host, parts.path, urlencode(sorted(parameters)), ""))


def may_store(response: requests.Response, expires: datetime | None) -> bool:
    """Return whether a reply may be kept.

    A final one may, for ever. Any other address of a site may for as long as the caller or the server
    said; what the service itself says about unfinished work never is.
    """
    if is_final(response):
        return True
    if expires is None or endpoint_of(response.url) is not UNKNOWN or response.request.method != "GET":
        return False
    if "html" in response.headers.get("Content-Type", "").lower():
        return False
    try:
        judge(response)
    except (NoUsableReply, ServerRefused):
        return False
    return response.status_code == 200


class ReplyCache(BaseCache):
    """The cache `requests_cache` works with. Neither keys nor entries hold anything secret.

    Parameters
    ----------
    path
        The SQLite file.
    max_size_bytes
        Most that all replies may take.
    """

    def __init__(self, path: Path, *, max_size_bytes: int = DEFAULTS.cache_size_bytes) -> None:
        super().__init__(cache_name=str(path))
        self.store = ReplyStore(path, max_size_bytes=max_size_bytes)
        self.responses = _Responses(self.store)

    @property
    def db_path(self) -> Path:
        """The SQLite file."""
        return self.store.path

    def create_key(
        self,
        request: Any,
        match_headers: Iterable[str] | None = None,  # noqa: ARG002
        *,
        verify: Any = True,
        **_options: Any,
    ) -> str:
        """Return the key of a request: method and public address. What was fetched unverified stays apart."""
        trusted = "unverified" if verify is False else "verified"
        parts = (request.method or "GET", public_url(request.url or ""), trusted)
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()

    def get_response(self, key: str, default: CachedResponse | None = None) -> CachedResponse | None:
        """Return the stored reply, `default` if there is none."""
        return self.responses.get(key, default)

    def save_response(
        self, response: requests.Response, cache_key: str | None = None, expires: datetime | None = None
    ) -> None:
        """Store a reply that may be stored; any other is passed over."""
        if may_store(response, expires):
            key = cache_key or self.create_key(response.request)
            self.store.put(key, as_stored(response, expires), response.content)

    def clear(self) -> None:
        """Forget every reply."""
        self.store.clear()

    def close(self) -> None:
        """Give the file back; it is opened again when needed."""
        self.store.close()


class _Responses(BaseStorage[str, CachedResponse]):
    """The stored replies as the mapping `requests_cache` expects."""

    def __init__(self, store: ReplyStore) -> None:
        super().__init__(serializer=None)
        self._store = store

    def __getitem__(self, key: str) -> CachedResponse:
        found = self._store.find(key)
        if found is None:
            raise KeyError(key)
        reply, body = found
        try:
            content = body.read_bytes() if isinstance(body, Path) else body
        except OSError as gone:
            raise KeyError(key) from gone
        return _as_response(key, reply, content)

    def __setitem__(self, key: str, response: CachedResponse) -> None:
        self._store.put(key, as_stored(response, response.expires), response.content)

    def __delitem__(self, key: str) -> None:
        self._store.delete([key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.keys())

    def __len__(self) -> int:
        return self._store.totals()[0]

    def clear(self) -> None:
        self._store.clear()

    def close(self) -> None:
        self._store.close()


def as_stored(response: requests.Response, expires: datetime | None) -> StoredReply:
    """Return what is kept of a reply beside its body."""
    asked = response.history[0] if response.history else response
    return StoredReply(
        url=public_url(asked.url or ""),
        status=response.status_code,
        reason=response.reason or "",
        headers={name: text for name, text in response.headers.items() if name.lower() in _KEPT_HEADERS},
        encoding=response.encoding,
        created_s=datetime.now(UTC).timestamp(),
        expires_s=expires.timestamp() if expires else None,
    )


def _as_response(key: str, reply: StoredReply, content: bytes) -> CachedResponse:
    response = CachedResponse(
        content=content,
        created_at=datetime.fromtimestamp(reply.created_s, UTC),
        encoding=reply.encoding,  # type: ignore[arg-type]
        expires=None if reply.expires_s is None else datetime.fromtimestamp(reply.expires_s, UTC),
        headers=CaseInsensitiveDict({**reply.headers, "Content-Length": str(len(content))}),
        reason=reply.reason,
        request=CachedRequest(method="GET", url=reply.url),
        status_code=reply.status,
        url=reply.url,
    )
    response.cache_key = key
    return response


_shared: "weakref.WeakValueDictionary[tuple[Path, int], ReplyCache]" = weakref.WeakValueDictionary()
_sharing = threading.Lock()
# Held across a fork, so that the child does not inherit it from another thread.
os.register_at_fork(
    before=_sharing.acquire, after_in_parent=_sharing.release, after_in_child=_sharing.release
)


def shared_cache(
    path: Path | str | None = None, *, max_size_bytes: int = DEFAULTS.cache_size_bytes
) -> ReplyCache:
    """Return the one cache of this process for a file; by default the user's own."""
    place = Path(path).expanduser().absolute() if path is not None else cache_path()
    with _sharing:
        cache = _shared.get((place, max_size_bytes))
        if cache is None:
            cache = _shared[place, max_size_bytes] = ReplyCache(place, max_size_bytes=max_size_bytes)
        return cache


@attrs.frozen(kw_only=True)
class CacheInfo:
    """How full the cache is."""

    path: Path
    replies: int
    size_bytes: int
    max_size_bytes: int


def cache_info(cache_file: Path | str | None = None) -> CacheInfo:
    """Return how full a cache is; by default the user's own."""
    cache = shared_cache(cache_file)
    count, size_bytes = cache.store.totals()
    cache.close()
    return CacheInfo(
        path=cache.db_path, replies=count, size_bytes=size_bytes, max_size_bytes=cache.store.max_size_bytes
    )


def clear_cache(cache_file: Path | str | None = None) -> None:
    """Forget every stored reply; by default those of the user's own cache."""
    cache = shared_cache(cache_file)
    cache.clear()
    cache.close()
