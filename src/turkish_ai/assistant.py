"""One turn: find the sector, ask for its adapter, have the engine answer, and account for it however it ends.

Called by `api` (and by whatever else speaks to a user). Handed a router, a catalogue of adapters and an engine; builds
none of them. Knows nothing of HTTP, of how a text is routed, or of what an adapter holds.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import structlog

from turkish_ai.engines.adapters import CatalogEntry
from turkish_ai.engines.engine import Engine
from turkish_ai.errors import (
    AdapterBroken,
    AdapterNotFound,
    AdapterRefused,
    GenerationFailed,
    InvalidRequest,
    TurkishAiError,
    UnknownModel,
)
from turkish_ai.grounding import Reference, as_message
from turkish_ai.messages import (
    GENERAL,
    AdapterRef,
    GenerationRequest,
    Message,
    Sampling,
    SectorChoice,
    TextDelta,
    Timings,
    Usage,
)
from turkish_ai.metrics import Metrics
from turkish_ai.settings import General, Sector

AUTO = "auto"
"""The model whose sector the router finds."""
BASE = "base"
"""The model without an adapter. `general` is what answers outside the sectors: its own adapter, where it has one."""

_log = structlog.get_logger("turkish_ai.assistant")


class Router(Protocol):
    """What finds a text's sector: `routing.router.SectorRouter`, or a test's fake. Called from worker threads."""

    @property
    def version(self) -> str: ...

    def choose(self, text: str, *, history: Sequence[str] = ()) -> SectorChoice:
        """The sector of `text`; `history` holds the user's earlier texts, oldest first."""
        ...


class References(Protocol):
    """What looks taught answers up: `grounding.QuestionBanks`, or a test's fake. Called from worker threads."""

    def find(self, sector: str, text: str, *, history: Sequence[str] = ()) -> Reference | None: ...


class Catalog(Protocol):
    """Which adapter serves which sector: `engines.adapters.AdapterCatalog`. Called from worker threads."""

    def find(self, sector: str, *, again: bool = False) -> AdapterRef: ...

    def refuse(self, ref: AdapterRef, error: AdapterRefused) -> None: ...

    def candidate(self, sector: str, folder: str) -> AdapterRef: ...

    def assign(self, sector: str, folder: str) -> AdapterRef: ...

    def entries(self) -> Sequence[CatalogEntry]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """`id` is unique in the process. `model` is `auto`, `base`, `general`, a sector's id or `sector@version`.

    `messages` hold at least one of the user's.
    """

    id: str
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Why `general` answered a question whose sector was found. `sector` is the one that was found.

    With the sector `general` itself: its adapter is configured and not there, so the base model answered. `confidence`
    is the router's in `sector`.
    """

    code: str
    sector: str
    confidence: float
    message_tr: str
    message_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an answer comes from, known before its first word.

    `choice.sector` is the sector that answers; after a fallback that is `general`, `choice.confidence` stays the
    router's in the sector that it found. A sector that the caller named has confidence 1 and no `top`. `adapter` is
    None where the base model answers as it is. `told` is what a grounded adapter answers from: the taught answer of
    `reference`, or, where nothing fits, that it does not know and whom to ask.
    """

    choice: SectorChoice
    adapter: AdapterRef | None
    engine: str
    fallback: Fallback | None
    routing_s: float
    told: str | None = None
    reference: Reference | None = None

    @property
    def model(self) -> str:
        """The model that answers, precisely: asking for it again gives the same adapter."""
        return f"{self.choice.sector}@{self.adapter.version}" if self.adapter else BASE


class Turn:
    """An answer on its way: iterate it once, `aclose` it always. Nothing else decodes it when it is closed."""

    def __init__(
        self, *, origin: Origin, first: TextDelta, rest: AsyncGenerator[TextDelta, None], account: "_Account"
    ) -> None:
        self.origin = origin
        self._first: TextDelta | None = first
        self._rest = rest
        self._account = account

    @property
    def usage(self) -> Usage | None:
        """Known after the last delta."""
        return self._account.usage

    @property
    def timings(self) -> Timings | None:
        """Known after the last delta."""
        return self._account.timings

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TextDelta:
        """Raises GenerationFailed, Draining or EngineUnavailable when the answer ends before it is complete."""
        if self._first is not None:
            delta, self._first = self._first, None
        else:
            try:
                delta = await anext(self._rest)
            except StopAsyncIteration:
                if not self._account.complete:
                    self._account.close("failed", code=GenerationFailed.code)
                    raise GenerationFailed("The engine stopped before the answer was complete.") from None
                raise
            except asyncio.CancelledError:
                self._account.close("cancelled")
                raise
            except BaseException as error:
                self._account.close("failed", code=getattr(error, "code", None))
                raise
        self._account.note(delta)
        return delta

    async def aclose(self) -> None:
        self._first = None
        self._account.close("cancelled")
        await self._rest.aclose()


class Assistant:
    """Answers turns with one engine. `blocking` runs what must not hold up the event loop: routing, adapter files."""

    def __init__(
        self,
        *,
        engine: Engine,
        router: Router,
        references: References,
        catalog: Catalog,
        sectors: Iterable[Sector],
        general: General,
        metrics: Metrics,
        blocking: Executor,
    ) -> None:
        self.engine = engine
        self._router = router
        self._references = references
        self._catalog = catalog
        self._sectors: dict[str, Sector | General] = {sector.id: sector for sector in sectors} | {GENERAL: general}
        self._metrics = metrics
        self._blocking = blocking

    async def turn(self, request: TurnRequest) -> Turn:
        """Start an answer and wait for its first delta, so that what can be refused is refused here.

        Raises:
            UnknownModel, AdapterNotFound, AdapterBroken: for `request.model`, or the sector that the router found.
            Whatever `Engine.generate` raises before its first delta.
        """
        account = _Account(metrics=self._metrics, turn_id=request.id, sector=self._label(request.model))
        origin: Origin | None = None
        try:
            origin = await self._find_origin(request)
            account.sector = origin.choice.sector
            rest = self.engine.generate(
                GenerationRequest(
                    request_id=request.id,
                    messages=_put_to(origin, request.messages),
                    sampling=request.sampling,
                    adapter=origin.adapter,
                    n=request.n,
                )
            )
            first = await anext(rest)
        except StopAsyncIteration:
            account.close("failed", code=GenerationFailed.code)
            raise GenerationFailed("The engine gave no answer.") from None
        except asyncio.CancelledError:
            account.close("cancelled")
            raise
        except AdapterRefused as error:
            account.close("refused", code=error.code)
            if origin is not None and origin.adapter is not None:
                self._catalog.refuse(origin.adapter, error)
            raise AdapterBroken(
                f"The adapter that this question needs cannot be served. {error.message}",
                remedy="Whoever runs the server can mend it; GET /adapters shows its state.",
            ) from error
        except TurkishAiError as error:
            account.close("failed" if isinstance(error, GenerationFailed) else "refused", code=error.code)
            raise
        except BaseException:
            account.close("failed")
            raise
        return Turn(origin=origin, first=first, rest=rest, account=account)

    async def choose_sector(self, text: str, *, history: Sequence[str] = ()) -> tuple[SectorChoice, float]:
        """The router's choice and the seconds it took; answers nothing."""
        loop = asyncio.get_running_loop()
        choice, routing_s = await loop.run_in_executor(self._blocking, self._route, text, history)
        self._count_choice(choice, routing_s)
        return choice, routing_s

    # --- where an answer comes from ---------------------------------------------------------------------------------

    async def _find_origin(self, request: TurnRequest) -> Origin:
        loop = asyncio.get_running_loop()
        *history, text = _user_texts(request.messages)
        if request.model != AUTO:
            origin = await loop.run_in_executor(self._blocking, self._named, request.model, text, history)
        else:
            found, origin = await loop.run_in_executor(self._blocking, self._routed, text, history)
            self._count_choice(found, origin.routing_s)
            if origin.fallback is not None:
                self._metrics.router_fallbacks.labels(self._metrics.sector(found.sector)).inc()
        if origin.adapter is not None and origin.adapter.grounded:
            told = "yes" if origin.reference is not None else "no"
            self._metrics.references.labels(self._metrics.sector(origin.choice.sector), told).inc()
        return origin

    def _named(self, model: str, text: str, history: Sequence[str]) -> Origin:
        sector, at, version = model.partition("@")
        if model == BASE or (model == GENERAL and not self._general_is_adapted):
            return self._origin(SectorChoice(sector=GENERAL, confidence=1.0))
        if sector not in self._sectors:
            raise UnknownModel(
                f"Model {model[:80]!r} is not known here.",
                remedy='GET /v1/models lists the models; "auto" finds the sector of each question by itself.',
                param="model",
            )
        adapter = self._catalog.find(sector)
        if at and version not in (adapter.version, adapter.sha256):
            raise UnknownModel(
                f"Sector {sector!r} is served with version {adapter.version!r}, not with {version[:80]!r}.",
                remedy=f'Ask for "{sector}@{adapter.version}", or for "{sector}" to get whichever version is there.',
                param="model",
            )
        return self._told(self._origin(SectorChoice(sector=sector, confidence=1.0), adapter), text, history)

    def _routed(self, text: str, history: Sequence[str]) -> tuple[SectorChoice, Origin]:
        choice, routing_s = self._route(text, history)
        if choice.sector == GENERAL and not self._general_is_adapted:
            return choice, self._origin(choice, routing_s=routing_s)
        try:
            adapter = self._catalog.find(choice.sector)
        except AdapterNotFound as error:
            general = self._general_adapter() if choice.sector != GENERAL else None
            fallback = self._no_adapter(choice, error, answered_by=general)
            answered = replace(choice, sector=GENERAL, fallback=fallback.code)
            origin = self._origin(answered, general, fallback=fallback, routing_s=routing_s)
        else:
            origin = self._origin(choice, adapter, routing_s=routing_s)
        return choice, self._told(origin, text, history)

    def _told(self, origin: Origin, text: str, history: Sequence[str]) -> Origin:
        """With what the adapter answers from, if it learnt to."""
        if origin.adapter is None or not origin.adapter.grounded:
            return origin
        if origin.fallback is not None:  # `general` speaks for a sector that it knows nothing of
            return replace(origin, told=self._sectors[origin.fallback.sector].no_answer_tr)
        sector = origin.choice.sector
        reference = self._references.find(sector, text, history=history)
        told = reference.answer if reference is not None else self._sectors[sector].no_answer_tr
        return replace(origin, told=told, reference=reference)

    @property
    def _general_is_adapted(self) -> bool:
        return self._sectors[GENERAL].adapter is not None

    def _general_adapter(self) -> AdapterRef | None:
        """Raises AdapterRefused: one that is broken is an error here too."""
        if not self._general_is_adapted:
            return None
        try:
            return self._catalog.find(GENERAL)
        except AdapterNotFound:
            return None

    def _route(self, text: str, history: Sequence[str]) -> tuple[SectorChoice, float]:
        started = time.perf_counter()
        choice = self._router.choose(text, history=history)
        return choice, time.perf_counter() - started

    def _origin(
        self,
        choice: SectorChoice,
        adapter: AdapterRef | None = None,
        *,
        fallback: Fallback | None = None,
        routing_s: float = 0.0,
    ) -> Origin:
        return Origin(choice=choice, adapter=adapter, engine=self.engine.name, fallback=fallback, routing_s=routing_s)

    def _no_adapter(self, found: SectorChoice, error: AdapterNotFound, *, answered_by: AdapterRef | None) -> Fallback:
        names = self._sectors[found.sector]
        who_tr, who_en = (
            ("genel asistan", "the general adapter") if answered_by is not None else ("temel model", "the base model")
        )
        return Fallback(
            code=error.code,
            sector=found.sector,
            confidence=found.confidence,
            message_tr=f"{names.name_tr} için bu sunucuda henüz adaptör yok; soruyu {who_tr} yanıtladı.",
            message_en=f"{names.name_en} has no adapter on this server yet; {who_en} answered.",
        )

    # --- accounting -------------------------------------------------------------------------------------------------

    def _count_choice(self, choice: SectorChoice, routing_s: float) -> None:
        self._metrics.router_choices.labels(self._metrics.sector(choice.sector)).inc()
        self._metrics.router_confidence.observe(choice.confidence)
        self._metrics.router_seconds.observe(routing_s)

    def _label(self, model: str) -> str:
        """The sector to count a turn under before its sector is known."""
        return GENERAL if model in (AUTO, BASE) else model.partition("@")[0]


@dataclass(slots=True, kw_only=True)
class _Account:
    """What one turn used and how it ended; written to the metrics and the log once."""

    metrics: Metrics
    turn_id: str
    sector: str
    usage: Usage | None = None
    timings: Timings | None = None
    _tokens: int = 0
    _hit_length: bool = False
    _closed: bool = False
    _started_s: float = field(default_factory=time.perf_counter)

    @property
    def complete(self) -> bool:
        return self.usage is not None

    def note(self, delta: TextDelta) -> None:
        self._tokens += delta.tokens
        self._hit_length = self._hit_length or delta.finish_reason == "length"
        if delta.usage is not None:
            self.usage, self.timings = delta.usage, delta.timings
            self.close("length" if self._hit_length else "stop")

    def close(self, outcome: str, *, code: str | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        took_s = time.perf_counter() - self._started_s
        sector = self.metrics.sector(self.sector)
        self.metrics.turns.labels(sector, outcome).inc()
        self.metrics.turn_seconds.labels(sector).observe(took_s)
        if self.usage is not None:
            self.metrics.tokens.labels(sector, "prompt").inc(self.usage.prompt_tokens)
        written = self.usage.completion_tokens if self.usage is not None else self._tokens
        if written:
            self.metrics.tokens.labels(sector, "completion").inc(written)
        _log.info(
            "turn",
            turn_id=self.turn_id,
            sector=sector,
            outcome=outcome,
            code=code,
            completion_tokens=written,
            took_ms=round(took_s * 1000, 1),
        )


def _put_to(origin: Origin, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the engine reads. A grounded adapter gets what it answers from, right before the question it belongs to.

    Earlier turns have had their say when that was looked up. In the prompt they would be read as what to say: the
    adapter repeated its last answer.
    """
    if origin.told is None:
        return messages
    instructions = [message for message in messages if message.role == "system"]
    question = next(message for message in reversed(messages) if message.role == "user")
    return (*instructions, as_message(origin.told), question)


def _user_texts(messages: Sequence[Message]) -> list[str]:
    texts = [message.content for message in messages if message.role == "user"]
    if not texts:
        raise InvalidRequest("The conversation holds no message of the user's.", param="messages")
    return texts
