"""An engine that says what a test tells it to, when the test tells it to.

Keeps the Engine Protocol. Time never passes in it: a `Gate` in the script holds an answer until the test opens it.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from turkish_ai.engines.engine import EngineHealth, ResidentAdapter
from turkish_ai.errors import (
    AdapterInUse,
    AdapterNotFound,
    AdapterRefused,
    Draining,
    EngineUnavailable,
    QueueFull,
)
from turkish_ai.messages import AdapterRef, FinishReason, GenerationRequest, TextDelta, Timings, Usage


class Gate:
    """Where an answer waits. `reached` is set once one does; `open` lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def wait(self) -> None:
        await self._opened.wait()


Step = str | TextDelta | Gate | Exception
"""A piece of text, a delta as it is, a place to wait, or an error to fail with."""


class FakeEngine:
    """`capacity` answers run at once, one more is refused with QueueFull.

    `requests` holds what was asked; `ended` how each request ended: `done`, `closed`, `cancelled` or `failed`.
    """

    name = "fake"
    model_id = "fake-270m"

    def __init__(
        self,
        *script: Step,
        capacity: int = 64,
        loading: Gate | None = None,
        load_error: Exception | None = None,
        finish_reason: FinishReason = "stop",
    ) -> None:
        self.script: Sequence[Step] = script or ("Merhaba", ", ", "dünya", ".")
        self.finish_reason: FinishReason = finish_reason
        self.capacity = capacity
        self.requests: list[GenerationRequest] = []
        self.ended: dict[str, str] = {}
        self.one_ended = asyncio.Event()
        self.refused_adapters: dict[str, AdapterRefused] = {}
        self.stops: list[float] = []
        self.state: Literal["loading", "ready", "draining", "dead"] = "loading"
        self._loading = loading
        self._load_error = load_error
        self._resident: dict[str, ResidentAdapter] = {}
        self._running = 0
        self._end_now = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def start(self) -> None:
        if self._loading is not None:
            self._loading.reached.set()
            await self._loading.wait()
        if self._load_error is not None:
            raise self._load_error
        self.state = "ready"

    async def stop(self, *, drain_s: float) -> None:
        self.stops.append(drain_s)
        self.state = "draining"
        try:
            async with asyncio.timeout(drain_s):
                await self._idle.wait()
        except TimeoutError:
            self._end_now.set()
            await self._idle.wait()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        self.requests.append(request)
        if self.state == "draining":
            raise Draining("The engine takes nothing new.")
        if self.state != "ready":
            raise EngineUnavailable(f"The engine is {self.state}.")
        if request.adapter is not None and request.adapter.path.name in self.refused_adapters:
            raise self.refused_adapters[request.adapter.path.name]
        if self._running >= self.capacity:
            raise QueueFull(f"All {self.capacity} places are taken.", retry_after_s=7)
        self._running += 1
        self._idle.clear()
        how = "failed"
        try:
            async for delta in self._answers(request):
                yield delta
            how = "done"
        except GeneratorExit:
            how = "closed"
            raise
        except asyncio.CancelledError:
            how = "cancelled"
            raise
        finally:
            self.ended[request.request_id] = how
            self.one_ended.set()
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _answers(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        written = 0
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Gate):
                await self._wait_at(step)
                continue
            for index in range(request.n):
                delta = step if isinstance(step, TextDelta) else TextDelta(index=index, text=step, token_ids=(7,))
                written += delta.tokens
                yield delta
                if isinstance(step, TextDelta):
                    break
        usage = Usage(prompt_tokens=len(request.messages) * 10, completion_tokens=written)
        timings = Timings(queued_s=0.001, first_token_s=0.02, total_s=0.05)
        for index in range(request.n):
            last = index == request.n - 1
            yield TextDelta(
                index=index,
                text="",
                finish_reason=self.finish_reason,
                usage=usage if last else None,
                timings=timings if last else None,
            )

    async def _wait_at(self, gate: Gate) -> None:
        gate.reached.set()
        waits = {asyncio.ensure_future(gate.wait()), asyncio.ensure_future(self._end_now.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._end_now.is_set():
            raise Draining("The server stopped before the answer was complete.")

    async def load(self, ref: AdapterRef, *, pinned: bool = False) -> ResidentAdapter:
        if ref.path.name in self.refused_adapters:
            raise self.refused_adapters[ref.path.name]
        known = self._resident.get(ref.sha256)
        resident = ResidentAdapter(
            ref=known.ref if known else ref, bytes=1024, rank=8, pinned=pinned, users=known.users if known else 0
        )
        self._resident[ref.sha256] = resident
        return resident

    async def unload(self, sha256: str) -> None:
        if sha256 not in self._resident:
            raise AdapterNotFound("It is not in memory.")
        if self._resident[sha256].users:
            raise AdapterInUse("Requests are decoding with it.")
        del self._resident[sha256]

    def use(self, sha256: str, *, users: int) -> None:
        resident = self._resident[sha256]
        self._resident[sha256] = ResidentAdapter(
            ref=resident.ref, bytes=resident.bytes, rank=resident.rank, pinned=resident.pinned, users=users
        )

    def adapters(self) -> list[ResidentAdapter]:
        return list(self._resident.values())

    def health(self) -> EngineHealth:
        return EngineHealth(
            state=self.state,
            detail=f"the fake engine is {self.state}",
            queue_length=0,
            batch_size=self._running,
            kv_used_tokens=0,
            kv_capacity_tokens=0,
        )
