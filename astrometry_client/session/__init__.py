"""The session layer: everything that touches the network."""

from astrometry_client.session.auth import SessionAuthMixin
from astrometry_client.session.caching import CacheInfo, cache_info, cache_path, clear_cache
from astrometry_client.session.client_session import ClientSession
from astrometry_client.session.dry_run import MockResponse, is_dry_run_enabled
from astrometry_client.session.file_lock_bucket import FileLockSQLiteBucket
from astrometry_client.session.files import SessionFileMixin
from astrometry_client.session.formatting import format_request, format_response
from astrometry_client.session.local import delete, get, get_local_session, post, put
from astrometry_client.session.loopback import is_loopback
from astrometry_client.session.slots_memory import MemorySlots
from astrometry_client.session.slots_redis import RedisSlots
from astrometry_client.session.slots_sqlite import SQLiteSlots
from astrometry_client.session.status_errors import SessionErrorMixin
from astrometry_client.session.timeouts import RequestTimeout
from astrometry_client.session.user_agent import SessionUserAgentMixin

__all__ = [
    "CacheInfo",
    "ClientSession",
    "FileLockSQLiteBucket",
    "MemorySlots",
    "MockResponse",
    "RedisSlots",
    "RequestTimeout",
    "SQLiteSlots",
    "SessionAuthMixin",
    "SessionErrorMixin",
    "SessionFileMixin",
    "SessionUserAgentMixin",
    "cache_info",
    "cache_path",
    "clear_cache",
    "delete",
    "format_request",
    "format_response",
    "get",
    "get_local_session",
    "is_dry_run_enabled",
    "is_loopback",
    "post",
    "put",
]
