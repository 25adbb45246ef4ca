"""One request in the engine, and each of the answers that it asked for.

Made by `engine`, ordered by `scheduler`, advanced by `worker`. Plain state; the threads that may touch it are named.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from turkish_ai.engines.adapters import AdapterWeights
from turkish_ai.engines.embedded.kv import KvBudget, SequenceKv
from turkish_ai.engines.embedded.sampler import Sampler
from turkish_ai.engines.embedded.text import Detokenizer, HeldLogprobs, StopMatcher
from turkish_ai.errors import TurkishAiError
from turkish_ai.messages import Sampling, TextDelta


@dataclass(slots=True, kw_only=True, eq=False)
class Answer:
    """One of a request's `n` answers. After it was admitted, only the worker's thread touches it."""

    group: "Group"
    index: int
    max_tokens: int
    computed: int = 0  # prompt tokens that are in the KV memory
    written: int = 0
    last_token: int = -1
    unposted: list[int] = field(default_factory=list)  # tokens whose text is held back
    logprobs: HeldLogprobs = field(default_factory=HeldLogprobs)
    kv: SequenceKv | None = None
    sampler: Sampler | None = None
    detokenizer: Detokenizer | None = None
    stops: StopMatcher | None = None
    last_token_at: float = 0.0

    @property
    def reserved_tokens(self) -> int:
        """KV memory that it may need at most."""
        return KvBudget.reserved(prompt_tokens=len(self.group.prompt), max_tokens=self.max_tokens)


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """A request: its prompt, computed once, and its answers.

    `deliver` is called on the event loop with deltas, or with the error that ends the request; `ended` once, on any
    thread, when no answer of it is in the batch or the queue any more, however that came about.
    """

    request_id: str
    prompt: list[int]
    sampling: Sampling
    weights: AdapterWeights | None
    deliver: Callable[[TextDelta | TurkishAiError], None]
    ended: Callable[[], None]
    answers: list[Answer] = field(default_factory=list)
    cancelled: bool = False  # set by any thread, read at each step
    unfinished: int = 0
    completion_tokens: int = 0
    arrived_at: float = field(default_factory=time.perf_counter)
    admitted_at: float = 0.0
    first_token_at: float = 0.0

    @property
    def reserved_tokens(self) -> int:
        return sum(answer.reserved_tokens for answer in self.answers)
