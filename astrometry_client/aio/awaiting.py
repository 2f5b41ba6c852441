"""Methods of the sync objects, made awaitable: signature, documentation and checks are theirs."""

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

import attrs

from astrometry_client import flow
from astrometry_client.agenda import Lane
from astrometry_client.aio.driver import drive, drive_many, pieces
from astrometry_client.aio.operations import Operations
from astrometry_client.client import Client
from astrometry_client.course import Course
from astrometry_client.driver import Progress
from astrometry_client.ledger import Ledger
from astrometry_client.session import ClientSession

__all__ = ["Asynchronous", "Plans", "awaitable", "awaitable_as", "driven", "streamed", "streamed_as"]

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


@attrs.frozen
class Planned(Generic[T]):
    """What a `Plans` gives back in place of carrying it out."""

    work: T
    on_step: Progress | None = None


class Plans(Client):
    """A client that gives back what is to be driven, after all its checks.

    Type checkers are told that it came to its end, which it does before anybody else sees it.
    """

    _kept: tuple[Ledger, flow.Forecast] | None = None

    def _foreseen(self, ledger: Ledger, pace: flow.Polling) -> flow.Forecast:
        # One for all that are awaited alone, since all their steps are taken in the event loop.
        if self._kept is None or self._kept[0] is not ledger:
            self._kept = ledger, super()._foreseen(ledger, pace)
        return self._kept[1]

    def _carry_out(self, steps: flow.Steps[T], on_step: Progress | None = None) -> T:
        return cast(T, Planned(steps, on_step))

    def _carry_out_many(self, course: Course[Any, Any, T]) -> Iterator[T]:
        return cast(Iterator[T], Planned(course))


class Asynchronous:
    """Does in threads what a sync object does.

    Parameters
    ----------
    inner
        The sync object.
    operations
        What is in work for the client.
    client_session
        Makes the requests.
    """

    def __init__(self, inner: Any, operations: Operations, client_session: ClientSession) -> None:
        self._inner = inner
        self._operations = operations
        self._client_session = client_session

    async def _awaited(self, lane: Lane, work: Callable[[], Any]) -> Any:
        with self._operations.new() as operation:
            found = await operation.run(lane, work)
            del work  # what it was told is not kept while a solve waits
            if isinstance(found, Planned):
                return await drive(found.work, operation, self._client_session, on_step=found.on_step)
            return found

    async def _driven(self, steps: flow.Steps[Any]) -> Any:
        with self._operations.new() as operation:
            return await drive(steps, operation, self._client_session)

    def _streamed(self, plan: Callable[[], Any]) -> AsyncGenerator[Any, None]:
        return self._operations.stream(
            partial(
                drive_many,
                lambda: plan().work,
                operations=self._operations,
                session=self._client_session,
            )
        )

    def _in_pieces(self, each: Generator[Any, None, None]) -> AsyncGenerator[Any, None]:
        return self._operations.stream(partial(pieces, each, operations=self._operations))


def awaitable_as(
    wrap: Callable[[Any, T], U], method: Callable[Concatenate[Any, P], T], lane: Lane = "reads"
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, U]]:
    """Return a coroutine method that has a method, or the reading of a property, carried out in a thread.

    Parameters
    ----------
    wrap
        Turns what it returns into what the caller gets, given the object of the caller.
    lane
        Where; what comes back planned is driven from the event loop.
    """
    # What type checkers take for a function is a property.
    function: Callable[..., T] = method.fget if isinstance(method, property) else method

    @wraps(function)
    async def awaited(owner: Asynchronous, /, *arguments: P.args, **named: P.kwargs) -> U:
        found = await owner._awaited(lane, partial(function, owner._inner, *arguments, **named))
        return wrap(owner, found)

    return awaited


def awaitable(
    method: Callable[Concatenate[Any, P], T], lane: Lane = "reads"
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the same, which gives the caller what the method returns."""
    return awaitable_as(_itself, method, lane)


def driven(
    method: Callable[Concatenate[Any, P], T], steps: Callable[..., flow.Steps[T]]
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return a coroutine method that drives the steps of a method, which takes the same arguments."""
    signature = inspect.signature(method)

    @wraps(method)
    async def awaited(owner: Asynchronous, /, *arguments: P.args, **named: P.kwargs) -> T:
        bound = signature.bind(owner._inner, *arguments, **named)
        bound.apply_defaults()
        return cast(T, await owner._driven(steps(*bound.args, **bound.kwargs)))

    return awaited


def streamed_as(
    wrap: Callable[[Any, T], U], method: Callable[Concatenate[Any, P], Iterator[T]]
) -> Callable[Concatenate[Any, P], AsyncGenerator[U, None]]:
    """Return a method that gives what a method yields in an async iterator.

    Nothing is begun before the first element is wanted, nor while the caller keeps one.
    """

    @wraps(method)
    async def each(owner: Asynchronous, /, *arguments: P.args, **named: P.kwargs) -> AsyncGenerator[U, None]:
        async with aclosing(owner._streamed(partial(method, owner._inner, *arguments, **named))) as stream:
            async for found in stream:
                yield wrap(owner, found)

    return each


def streamed(
    method: Callable[Concatenate[Any, P], Iterator[T]],
) -> Callable[Concatenate[Any, P], AsyncGenerator[T, None]]:
    """Return the same, which gives the caller what the method yields."""
    return streamed_as(_itself, method)


def _itself(_owner: Any, value: T) -> T:
    return value
