"""Connections that another thread can cut, so that a silent server keeps nobody who has given up."""

from contextlib import suppress
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from astrometry_client.session.interrupting import check_interrupt, use_connection

__all__ = ["CuttableAdapter"]


class _Cuttable(HTTPConnection):
    """Asks before each block whether the request is still wanted."""

    def connect(self) -> None:
        super().connect()
        # Until now there was nothing to cut.
        check_interrupt()

    def send(self, data: Any) -> None:
        use_connection(self)
        super().send(data)


class _CuttableHttps(_Cuttable, HTTPSConnection):
    """The same, encrypted."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Cuttable


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _CuttableHttps


_POOLS: Final = {"http": _HttpPool, "https": _HttpsPool}


class CuttableAdapter(HTTPAdapter):
    """An adapter whose connections end with the request that is given up."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools, of our connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def close_connections(self) -> None:
        """Close the idle connections now; urllib3 waits until its pools are collected as garbage."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  cannot be iterated over otherwise
                with suppress(KeyError):  # another thread was quicker
                    manager.pools[key].close()

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        """Return the pools behind a proxy, of our connections."""
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
