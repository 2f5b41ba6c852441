"""A caching, rate-limited client for the Astrometry.net web service."""

# Each name is imported when it is first used, so that a command or a worker process pays for no more than it
# needs. `__init__.pyi` tells the same to type checkers.
from importlib import import_module
from typing import Any, Final

_MODULES: Final = {
    "aio": ("AsyncClient", "AsyncJob", "AsyncSubmission"),
    "batch": ("BatchResult",),
    "client": ("Client",),
    "errors": (
        "APIKeyError",
        "AstrometryError",
        "InputError",
        "LedgerError",
        "LoginFailedException",
        "MalformedReply",
        "NoUsableReply",
        "NotAvailable",
        "NotFound",
        "OutcomeUnknown",
        "Overloaded",
        "RateLimitExceeded",
        "ReplyTimeout",
        "ServerRefused",
        "SolveError",
        "SolveTimeout",
        "StaleSession",
        "StatusFailedException",
        "StillProcessingException",
        "SubmissionFailed",
        "Unreachable",
        "UnreadableFileError",
    ),
    "job": ("Job",),
    "ledger": ("Ledger",),
    "login": ("Session",),
    "models": (
        "Annotation",
        "Calibration",
        "JobInfo",
        "Option",
        "Settings",
        "Solution",
        "SubmissionStatus",
        "UploadReceipt",
    ),
    "predicates": ("Predicate",),
    "request": (
        "PostRequest",
        "Request",
        "SessionRequest",
    ),
    "session": (
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
        "clear_cache",
        "delete",
        "format_request",
        "format_response",
        "get",
        "get_local_session",
        "is_dry_run_enabled",
        "post",
        "put",
    ),
    "submission": ("Submission",),
    "uploads": (
        "FileUpload",
        "SourcesUpload",
        "URLUpload",
    ),
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF, key=lambda name: (name[0].islower(), name))  # noqa: PLE0605  made of strings


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("astrometry-client")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
