"""Standing in line for a thread; unlike `asyncio.Semaphore`, in one event loop after the other."""

import asyncio
from collections import deque


class Room:
    """Lets so many in at once, the others in their order; an async context manager.

    Parameters
    ----------
    room
        How many.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._turns: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if self._room:
            self._room -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except BaseException:
            if not turn.get_loop().is_closed():
                turn.cancel()
            if turn.done() and not turn.cancelled():
                self._next()  # its turn had come
            raise

    async def __aexit__(self, *_: object) -> None:
        self._next()

    def _next(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not (turn.done() or turn.get_loop().is_closed()):
                turn.set_result(None)
                return
        self._room += 1
