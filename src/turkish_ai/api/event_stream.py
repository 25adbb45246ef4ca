"""Send a turn as server-sent events while it is being decoded.

Used by `chat`, which brings the words. Pieces that arrive together leave in one write; a client that goes away closes
the turn; a failure after the first byte becomes an `error` event and no `[DONE]`. Knows nothing of what a piece says.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Protocol

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from turkish_ai.api.answers import to_json
from turkish_ai.api.disconnect import ClientGone, UntilClientGone
from turkish_ai.api.errors import ErrorWriter, error_object
from turkish_ai.assistant import Turn
from turkish_ai.errors import TurkishAiError
from turkish_ai.messages import TextDelta

STALLED_S = 60.0
"""A client that takes nothing for this long is taken for gone; its answer would be held in memory for ever."""

DONE = b"data: [DONE]\n\n"

_log = structlog.get_logger("turkish_ai.api")


class Chunks(Protocol):
    """Writes events in one API's words."""

    def opening(self) -> bytes: ...

    def delta(self, delta: TextDelta) -> bytes: ...

    def closing(self) -> bytes: ...


class EventStream(Response):
    """Owns `turn` from the moment it is called, and closes it."""

    media_type = "text/event-stream"

    def __init__(self, *, turn: Turn, chunks: Chunks, errors: ErrorWriter, headers: Mapping[str, str]) -> None:
        # x-accel-buffering: nginx would otherwise hold the pieces back.
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._turn = turn
        self._chunks = chunks
        self._errors = errors
        self._pending: list[bytes] = []  # as long as one answer at most: bounded by max_tokens and n
        self._wake = asyncio.Event()
        self._over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._turn):
            try:
                async with UntilClientGone(receive), asyncio.TaskGroup() as tasks:
                    pump = tasks.create_task(self._pump(scope["state"]["request_id"]))
                    await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                    if not await self._write_all(send):
                        pump.cancel()
            except ClientGone:
                return

    async def _pump(self, request_id: str) -> None:
        """Take pieces from the engine as fast as it gives them, however slowly the client reads."""
        try:
            self._put(self._chunks.opening())
            async for delta in self._turn:
                self._put(self._chunks.delta(delta))
            self._put(self._chunks.closing())
        except TurkishAiError as error:
            _log.warning("stream failed", code=error.code, error=str(error))
            self._put(_error_event(error))
        except Exception:  # noqa: BLE001  # the edge of a task: the client must learn of it, and the log why
            _log.exception("unforeseen error in a stream")
            self._put(_error_event(self._errors.internal(request_id)))
        finally:
            self._over = True
            self._wake.set()

    def _put(self, event: bytes) -> None:
        self._pending.append(event)
        self._wake.set()

    async def _write_all(self, send: Send) -> bool:
        """False when the client stopped reading."""
        over = False
        while not over:
            await self._wake.wait()
            self._wake.clear()
            over = self._over
            body = b"".join(self._pending)
            self._pending.clear()
            try:
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": body, "more_body": not over})
            except TimeoutError:
                _log.warning("client stopped reading", stalled_s=STALLED_S)
                return False
        return True


def _error_event(error: TurkishAiError) -> bytes:
    return f"data: {to_json(error_object(error))}\n\n".encode()
