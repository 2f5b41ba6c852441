"""The client for programs that are coroutines: the same ways, cache, budget, ledger and login as `Client`."""

from astrometry_client.aio.client import AsyncClient
from astrometry_client.aio.objects import AsyncJob, AsyncSubmission

__all__ = ["AsyncClient", "AsyncJob", "AsyncSubmission"]
