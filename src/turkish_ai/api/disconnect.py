"""Notice that the client went away while an answer is being made, and stop making it.

Used by the routes that generate. Knows nothing of answers: it cancels whatever runs inside its `async with`.
"""

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive


class ClientGone(Exception):
    """Nobody reads the answer any more; there is nothing to answer with."""


class UntilClientGone:
    """Cancel the block when the client disconnects, and raise ClientGone out of it.

    The request's body must have been read. Shaped after asyncio.timeout, which explains the counting of cancellations:
    a cancellation that comes from elsewhere (the server's shutdown) passes through as it is.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._cancelling = 0
        self._task: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        self._watch = asyncio.create_task(self._listen(self._task))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        assert self._watch is not None
        self._watch.cancel()
        if self._gone and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientGone from error

    async def _listen(self, task: asyncio.Task[object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()
