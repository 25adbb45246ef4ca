"""What an engine is: the one Protocol between the assistant and whatever decodes.

Implemented by `engines.embedded` and by the tests' fakes; called by `assistant` and the admin API. Knows nothing of
HTTP, routing or sectors: an adapter is a content hash and a path.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from turkish_ai.messages import AdapterRef, GenerationRequest, TextDelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentAdapter:
    """An adapter that is in the engine's memory now. `users` counts the requests decoding with it."""

    ref: AdapterRef
    bytes: int
    rank: int
    pinned: bool
    users: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHealth:
    """A picture of the engine now. `state` is `ready` only if a request handed over now would be decoded."""

    state: Literal["loading", "ready", "draining", "dead"]
    detail: str
    queue_length: int
    batch_size: int
    kv_used_tokens: int
    kv_capacity_tokens: int


class Engine(Protocol):
    @property
    def name(self) -> str:
        """Short name of the kind, for answers and metrics: `embedded`, `vllm`, `ray`."""
        ...

    @property
    def model_id(self) -> str:
        """The base model's name, as the answers report it."""
        ...

    async def start(self) -> None:
        """Load the model and be ready. Raises UnsupportedModel, BaseModelUnavailable."""
        ...

    async def stop(self, *, drain_s: float) -> None:
        """Refuse new requests, let running ones end within `drain_s` seconds, end the rest with Draining."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        """Stream the answers. Closing the generator takes the request out of the batch within two steps.

        Raises, before the first delta: QueueFull, Draining, EngineUnavailable, ContextLengthExceeded, AdapterRefused,
        AdapterMemoryFull, ValueOutOfRange. Later: GenerationFailed, Draining, EngineUnavailable.
        """
        ...

    async def load(self, ref: AdapterRef, *, pinned: bool = False) -> ResidentAdapter:
        """Bring an adapter into memory; with one that is resident already, only set `pinned`.

        Raises AdapterRefused (the others go on serving), AdapterMemoryFull.
        """
        ...

    async def unload(self, sha256: str) -> None:
        """Give an adapter's memory back. Raises AdapterNotFound, or AdapterInUse and leaves it."""
        ...

    def adapters(self) -> list[ResidentAdapter]: ...

    def health(self) -> EngineHealth: ...
