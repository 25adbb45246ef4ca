"""Where the process stands (loading, ready, draining, dead), and who may come in meanwhile.

Built by `app`, which moves it on; asked by every route that needs the assistant. `RefuseWhileDraining` is the
middleware that turns new requests away while running answers end. Knows nothing of what loading or draining does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from turkish_ai.api.envelope import PROBES
from turkish_ai.api.errors import ErrorWriter, draining
from turkish_ai.assistant import Assistant
from turkish_ai.errors import EngineUnavailable

Phase = Literal["loading", "ready", "draining", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    phase: Phase
    detail: str


class Lifecycle:
    """Moves loading -> ready -> draining, or to dead when loading fails. Draining is never left again."""

    def __init__(self) -> None:
        self._standing = Standing(phase="loading", detail="starting")
        self._assistant: Assistant | None = None
        self._reading: set[asyncio.Timeout] = set()

    @property
    def draining(self) -> bool:
        return self._standing.phase == "draining"

    def report_loading(self, detail: str) -> None:
        if self._standing.phase == "loading":
            self._standing = Standing(phase="loading", detail=detail)

    def become_ready(self, assistant: Assistant) -> None:
        if not self.draining:
            self._assistant = assistant
            self._standing = Standing(phase="ready", detail="ready")

    def die(self, detail: str) -> None:
        if not self.draining:
            self._standing = Standing(phase="dead", detail=detail)

    def drain(self) -> None:
        """Safe in a signal handler."""
        self._standing = Standing(phase="draining", detail="the server is stopping")

    def stop_reading(self) -> None:
        """Once draining: requests that are still arriving are not waited for. On the event loop only."""
        for limit in self._reading:
            limit.reschedule(0.0)  # long ago

    @asynccontextmanager
    async def reading(self, deadline_s: float) -> AsyncIterator[None]:
        """While a request arrives, until `deadline_s` on the loop's clock. Raises TimeoutError, or Draining."""
        if self.draining:
            raise draining()
        try:
            async with asyncio.timeout_at(deadline_s) as limit:
                self._reading.add(limit)
                try:
                    yield
                finally:
                    self._reading.discard(limit)
        except TimeoutError:
            if self.draining:
                raise draining() from None
            raise

    def standing(self) -> Standing:
        """Ready only if the engine, asked now, says so too."""
        if self._standing.phase == "ready" and self._assistant is not None:
            health = self._assistant.engine.health()
            return Standing(phase=health.state, detail=health.detail or health.state)
        return self._standing

    @property
    def assistant(self) -> Assistant:
        """Raises EngineUnavailable while there is none, or Draining."""
        phase, detail = self._standing.phase, self._standing.detail
        if phase == "draining":
            raise draining()
        if self._assistant is None:
            if phase == "dead":
                raise EngineUnavailable(f"The server could not load: {detail}", remedy="Its log says more.")
            raise EngineUnavailable(f"The server is still loading ({detail}).", remedy="Try again shortly.")
        return self._assistant


class RefuseWhileDraining:
    """ASGI middleware: 503 for whatever is new, except for those who watch the server."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, errors: ErrorWriter) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._lifecycle.draining and scope["path"] not in PROBES:
            await self._errors.response(draining())(scope, receive, send)
            return
        await self._app(scope, receive, send)
