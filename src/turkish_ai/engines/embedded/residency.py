"""Which adapters are in memory, who uses them, and who makes room.

Asked by `engine`, on the event loop, for an adapter by its content hash; released from any thread. Reading happens
in the engine's loader thread, so streams that are running go on. The least recently used adapter makes room, never
one in use or pinned. Knows nothing of requests.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from turkish_ai.engines.adapters import AdapterWeights
from turkish_ai.engines.engine import ResidentAdapter
from turkish_ai.errors import AdapterError, AdapterInUse, AdapterMemoryFull, AdapterNotFound
from turkish_ai.messages import AdapterRef
from turkish_ai.metrics import Metrics


@dataclass(slots=True, eq=False)
class _Place:
    weights: AdapterWeights
    users: int = 0
    pinned: bool = False


class AdapterResidency:
    """A bounded number of adapters. `read` takes a reference and returns checked weights, or raises AdapterRefused."""

    def __init__(
        self,
        *,
        limit: int,
        read: Callable[[AdapterRef], AdapterWeights],
        executor: Executor,
        metrics: Metrics,
    ) -> None:
        self._limit = limit
        self._read = read
        self._executor = executor
        self._metrics = metrics
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._loading: dict[str, asyncio.Task[AdapterWeights]] = {}

    async def acquire(self, ref: AdapterRef) -> AdapterWeights:
        """The weights, in memory and kept there until `release`. Raises AdapterRefused, AdapterMemoryFull."""
        while True:
            with self._lock:
                if (place := self._places.get(ref.sha256)) is not None:
                    place.users += 1
                    self._places.move_to_end(ref.sha256)
                    return place.weights
            await self._bring(ref)

    def release(self, sha256: str) -> None:
        with self._lock:
            place = self._places[sha256]
            place.users -= 1
            assert place.users >= 0

    async def load(self, ref: AdapterRef, *, pinned: bool) -> ResidentAdapter:
        await self.acquire(ref)
        with self._lock:
            place = self._places[ref.sha256]
            place.users -= 1
            place.pinned = pinned
            return self._describe(place)

    def unload(self, sha256: str) -> None:
        """Raises AdapterNotFound; AdapterInUse, and then it stays."""
        with self._lock:
            place = self._places.get(sha256)
            if place is None:
                raise AdapterNotFound(f"No adapter with content {sha256[:12]} is in memory.")
            if place.users:
                raise AdapterInUse(
                    f"Adapter {place.weights.ref.name} ({sha256[:12]}) is answering {place.users} request(s).",
                    remedy="Try again when they are done.",
                    retry_after_s=1.0,
                )
            del self._places[sha256]
            self._measure()

    def list(self) -> list[ResidentAdapter]:
        with self._lock:
            return [self._describe(place) for place in self._places.values()]

    async def _bring(self, ref: AdapterRef) -> None:
        """Read the adapter once, however many ask for it at the same time; a caller that goes away stops nobody."""
        task = self._loading.get(ref.sha256)
        if task is None:
            task = asyncio.create_task(self._load(ref), name=f"load adapter {ref.name}")
            self._loading[ref.sha256] = task
            task.add_done_callback(lambda done: self._forget(ref.sha256, done))
        await asyncio.shield(task)

    def _forget(self, sha256: str, task: "asyncio.Task[AdapterWeights]") -> None:
        del self._loading[sha256]
        if not task.cancelled():
            task.exception()  # whoever waited has it; this marks it as seen if nobody is left

    async def _load(self, ref: AdapterRef) -> AdapterWeights:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            with self._lock:
                self._find_room()  # no need to read what could not stay
            weights = await loop.run_in_executor(self._executor, self._read, ref)
            self._make_room()  # only now: an adapter that is refused pushes nobody out
        except AdapterError as error:
            self._metrics.adapter_loads.labels(outcome=error.code).inc()
            raise
        with self._lock:
            self._places[ref.sha256] = _Place(weights)
            self._measure()
        self._metrics.adapter_loads.labels(outcome="ok").inc()
        self._metrics.adapter_load_seconds.observe(time.perf_counter() - started)
        return weights

    def _make_room(self) -> None:
        with self._lock:
            while (idle := self._find_room()) is not None:
                del self._places[idle]
                self._metrics.adapter_evictions.inc()
            self._measure()

    def _find_room(self) -> str | None:
        """Who would have to leave; None if a place is free. Raises AdapterMemoryFull."""
        if len(self._places) < self._limit:
            return None
        idle = next((sha for sha, p in self._places.items() if not p.users and not p.pinned), None)
        if idle is None:
            raise AdapterMemoryFull(
                f"All {self._limit} adapters in memory are in use or pinned.",
                remedy="Try again when a request is done, unpin one, or raise "
                "inference.embedded.max_resident_adapters.",
                retry_after_s=1.0,
            )
        return idle

    def _measure(self) -> None:
        self._metrics.adapters_resident.set(len(self._places))
        self._metrics.adapter_bytes.set(sum(p.weights.bytes for p in self._places.values()))

    @staticmethod
    def _describe(place: _Place) -> ResidentAdapter:
        return ResidentAdapter(
            ref=place.weights.ref,
            bytes=place.weights.bytes,
            rank=place.weights.rank,
            pinned=place.pinned,
            users=place.users,
        )
