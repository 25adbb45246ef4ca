"""The values that travel between rooms: a request going in, text coming out.

Plain frozen data, used by every layer. Knows nothing of HTTP, tensors or storage.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]
GENERAL = "general"
"""The sector id of whatever belongs to none of the 22: answered by the base model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen. Ranges are checked at the door (`api`) and by the engine's own limits.

    `temperature` 0 is greedy. `top_k` 0 and `top_p` 1 and `min_p` 0 are off. `repetition_penalty` 1 is off and, like
    frequency and presence penalties, sees the prompt (repetition) or the answer so far (frequency, presence), as in
    transformers and OpenAI's API. `top_logprobs` None means no log-probabilities; 0 means the chosen token's only.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int = 256
    top_logprobs: int | None = None
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRef:
    """Which adapter a request decodes with. `sha256` identifies it; the name and path only say where it lies.

    `grounded`: it learnt to answer from the taught answer that the conversation begins with (see `grounding`).
    """

    name: str
    sha256: str
    path: Path
    grounded: bool = field(default=False, compare=False)

    @property
    def version(self) -> str:
        return self.sha256[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One question for an engine. `n` answers share its prompt. `adapter` None is the base model."""

    request_id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    adapter: AdapterRef | None = None
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """Natural logarithm of the probability before temperature and filters, as OpenAI's API reports it."""

    token: str
    token_bytes: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds of wall time, measured by the engine from the moment the request was handed to it."""

    queued_s: float
    first_token_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of answer `index`.

    `token_ids` are the tokens since the piece before, also those whose text is still held back; they may be empty with
    an engine that does not know them. The last piece of each answer has `finish_reason`; the very last one of the
    request also has `usage` (all answers together) and `timings`.
    """

    index: int
    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    timings: Timings | None = None

    @property
    def tokens(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorChoice:
    """What the router decided. `sector` is one of the 22 or `general`; `confidence` is its probability, 0 to 1.

    `top` holds the most likely sectors, best first. `evidence` holds what decided, strongest first. `fallback` says
    why the answer does not come from the sector that was found (no adapter yet); None when it does.
    """

    sector: str
    confidence: float
    top: tuple[tuple[str, float], ...] = ()
    evidence: tuple[str, ...] = field(default=())
    fallback: str | None = None
