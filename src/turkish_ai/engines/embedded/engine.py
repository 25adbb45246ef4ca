"""The embedded engine's face to the rest: the Engine Protocol, on the event loop.

Built by `app`. Takes requests, has their adapters brought into memory, hands them to the worker's thread and streams
what comes back. All model work, reading of files and tokenising happens in other threads. Knows nothing of HTTP.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import structlog

from turkish_ai.base_model import fingerprint
from turkish_ai.engines.adapters import AdapterRules, AdapterWeights, read_adapter
from turkish_ai.engines.embedded.model import PackedModel
from turkish_ai.engines.embedded.residency import AdapterResidency
from turkish_ai.engines.embedded.scheduler import Scheduler
from turkish_ai.engines.embedded.sequence import Answer, Group
from turkish_ai.engines.embedded.worker import Parcel, Worker
from turkish_ai.engines.engine import EngineHealth, ResidentAdapter
from turkish_ai.errors import (
    ContextLengthExceeded,
    Draining,
    EngineUnavailable,
    QueueFull,
    TurkishAiError,
    ValueOutOfRange,
)
from turkish_ai.messages import AdapterRef, GenerationRequest, TextDelta
from turkish_ai.metrics import Metrics
from turkish_ai.prompts import PromptEncoder
from turkish_ai.settings import MIB, EmbeddedEngineConfig, ModelConfig

log = structlog.get_logger(__name__)

_STALLED_AFTER_S = 120.0
"""A step takes milliseconds to a few seconds; one that takes this long will not come back."""

State = Literal["loading", "ready", "draining", "dead"]


class EmbeddedEngine:
    """See `turkish_ai.engines.engine.Engine`. One model, one batch, one thread that runs it."""

    name = "embedded"

    def __init__(
        self,
        *,
        model_dir: Path,
        config: ModelConfig,
        chat_template: str | None,
        metrics: Metrics,
        base_names: tuple[str, ...] = (),
        architecture: str | None = None,
    ) -> None:
        """`base_names`: the base model's name and its other ones, by default the configured; `architecture`: what its
        config.json must name."""
        self._model_dir = model_dir
        self._config = config
        self._limits: EmbeddedEngineConfig = config.inference.embedded
        self._chat_template = chat_template
        self._metrics = metrics
        self._base_names = base_names or (config.base_model.name, *config.base_model.aliases)
        self._architecture = architecture
        self._state: State = "loading"
        self._has_started = False
        self._queues: dict[Group, asyncio.Queue[TextDelta | TurkishAiError]] = {}
        self._arriving = 0
        self._quiet = asyncio.Event()  # nobody is being served
        self._quiet.set()
        # One thread each: texts must not wait for files, nor files for texts.
        self._text_executor = ThreadPoolExecutor(1, thread_name_prefix="turkish-ai-text")
        self._file_executor = ThreadPoolExecutor(1, thread_name_prefix="turkish-ai-files")
        self._encoder: PromptEncoder
        self._model: PackedModel
        self._scheduler: Scheduler
        self._worker: Worker
        self._residency: AdapterResidency

    @property
    def model_id(self) -> str:
        return self._base_names[0]

    @property
    def context_tokens(self) -> int:
        """Prompt and answer together."""
        return min(self._config.base_model.context_tokens, self._model.max_positions)

    # --- start and stop ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        await loop.run_in_executor(self._file_executor, self._load_model)
        if self._state != "loading":  # stopped meanwhile
            raise self._draining()
        bytes_per_token = self._model.kv_shape.bytes_per_token
        self._scheduler = Scheduler(
            max_batch=self._limits.max_batch,
            max_queue=self._limits.max_queue,
            chunk_tokens=self._limits.prefill_chunk_tokens,
            kv_capacity_tokens=self._limits.kv_cache_mib * MIB // bytes_per_token,
        )
        self._residency = AdapterResidency(
            limit=self._limits.max_resident_adapters,
            read=self._read_adapter,
            executor=self._file_executor,
            metrics=self._metrics,
        )
        self._worker = Worker(
            model=self._model,
            scheduler=self._scheduler,
            tokenizer=self._encoder.backend,
            stop_ids=self._encoder.stop_ids,
            metrics=self._metrics,
            post=lambda parcels: _post(loop, self._deliver, parcels),
        )
        self._worker.start()
        self._has_started = True
        self._state = "ready"
        self._metrics.engine_up.set_function(lambda: float(self.health().state == "ready"))
        log.info(
            "engine ready",
            model=self.model_id,
            seconds=round(time.perf_counter() - started, 2),
            kv_capacity_tokens=self._scheduler.kv.capacity,
            batch_invariant=self._model.batch_invariant,
        )

    async def stop(self, *, drain_s: float) -> None:
        was_ready = self._state == "ready"
        self._state = "draining"
        if was_ready:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), drain_s)
            self._worker.stop(
                Draining(
                    "The server is stopping and this answer was not complete.",
                    remedy="Ask again in a moment.",
                    retry_after_s=self._retry_after_s,
                )
            )
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._worker.join, 10.0)
            await asyncio.sleep(0)  # what the worker posted last is delivered before the generators are closed
        self._text_executor.shutdown(wait=False, cancel_futures=True)
        self._file_executor.shutdown(wait=False, cancel_futures=True)

    def _load_model(self) -> None:
        self._encoder = PromptEncoder(
            self._model_dir,
            chat_template=self._chat_template,
            stop_tokens=self._config.tokenizer.stop_tokens,
            system_prompt=self._config.tokenizer.system_prompt,
        )
        self._model = PackedModel(
            self._model_dir,
            max_batch=self._limits.max_batch,
            threads=self._limits.threads,
            architecture=self._architecture,
        )
        self._rules = AdapterRules(
            base_names=self._base_names,
            base_fingerprint=fingerprint(self._model_dir),
            shapes=self._model.shapes,
            max_rank=self._config.lora.max_rank,
        )

    # --- requests ---------------------------------------------------------------------------------------------------

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TextDelta, None]:
        try:
            group = await self._take_in(request)
        except TurkishAiError as error:
            self._metrics.engine_refusals.labels(code=error.code).inc()
            raise
        finally:
            self._note_quiet()
        queue = self._queues[group]
        try:
            while True:
                item = await queue.get()
                if isinstance(item, TurkishAiError):
                    raise item
                yield item
                if item.usage is not None:
                    return
        finally:
            del self._queues[group]
            self._give_up(group)
            self._note_quiet()

    async def _take_in(self, request: GenerationRequest) -> Group:
        """From a request to a group in the waiting line. Whatever is taken on the way is given back if it fails."""
        self._refuse_unless_ready()
        if self._scheduler.room() - self._arriving < 1:
            raise QueueFull(
                f"{self._scheduler.waiting + self._arriving} requests are waiting, the most this server lets wait.",
                remedy="Try again after the time in Retry-After.",
                retry_after_s=self._retry_after_s,
            )
        loop = asyncio.get_running_loop()
        arrived_at = time.perf_counter()
        self._arriving += 1
        self._quiet.clear()
        try:
            with self._draining_instead_of_cancelled():
                prompt = await loop.run_in_executor(self._text_executor, self._encode, request)
                self._scheduler.check(  # before an adapter is brought for it
                    prompt_tokens=len(prompt), max_tokens=request.sampling.max_tokens, answers=request.n
                )
                weights = await self._residency.acquire(request.adapter) if request.adapter else None
        finally:
            self._arriving -= 1
        sha256 = weights.ref.sha256 if weights else None
        group = self._group(request, prompt, weights)
        group.arrived_at = arrived_at
        self._queues[group] = asyncio.Queue()
        try:
            self._refuse_unless_ready()  # it may have begun to drain meanwhile
            self._scheduler.submit(group, retry_after_s=self._retry_after_s)
        except TurkishAiError:
            del self._queues[group]
            if sha256:
                self._residency.release(sha256)
            raise
        self._worker.wake()
        if self._worker.has_ended:  # died between the check and the submission: nobody would ever answer
            self._give_up(group)
            del self._queues[group]
            raise self._unavailable()
        return group

    def _group(self, request: GenerationRequest, prompt: list[int], weights: AdapterWeights | None) -> Group:
        def ended() -> None:
            if weights is not None:
                self._residency.release(weights.ref.sha256)

        group = Group(
            request_id=request.request_id,
            prompt=prompt,
            sampling=request.sampling,
            weights=weights,
            deliver=lambda item: self._hand_over(group, item),
            ended=ended,
            unfinished=request.n,
        )
        group.answers = [
            Answer(group=group, index=index, max_tokens=request.sampling.max_tokens) for index in range(request.n)
        ]
        return group

    def _encode(self, request: GenerationRequest) -> list[int]:
        """The prompt, or a refusal before any work is spent on what cannot fit."""
        text = self._encoder.render(request.messages)
        self._check_length(request, self._encoder.least_tokens(text), "at least ")
        prompt = self._encoder.tokens(text)
        if not prompt:
            raise ValueOutOfRange("The prompt is empty.", param="messages")
        self._check_length(request, len(prompt))
        return prompt

    def _check_length(self, request: GenerationRequest, prompt_tokens: int, qualified: str = "") -> None:
        needed = prompt_tokens + request.sampling.max_tokens
        if needed > self.context_tokens:
            raise ContextLengthExceeded(
                f"The prompt has {qualified}{prompt_tokens} tokens and up to {request.sampling.max_tokens} more were "
                f"asked for: {needed}, and this server's context has {self.context_tokens}.",
                remedy="Shorten the conversation or lower max_tokens.",
                param="messages",
            )

    def _give_up(self, group: Group) -> None:
        """The consumer is gone or done. What is still in the batch leaves before the next step."""
        if group.unfinished and self._scheduler.cancel(group):
            group.unfinished = 0
            group.ended()
        self._worker.wake()

    def _deliver(self, parcels: list[Parcel]) -> None:
        for group, item in parcels:
            group.deliver(item)

    def _hand_over(self, group: Group, item: TextDelta | TurkishAiError) -> None:
        queue = self._queues.get(group)
        if queue is not None:
            queue.put_nowait(item)  # at most one item per token: bounded by max_tokens

    # --- adapters ---------------------------------------------------------------------------------------------------

    async def load(self, ref: AdapterRef, *, pinned: bool = False) -> ResidentAdapter:
        self._refuse_unless_ready()
        with self._draining_instead_of_cancelled():
            return await self._residency.load(ref, pinned=pinned)

    async def unload(self, sha256: str) -> None:
        self._refuse_unless_ready()
        self._residency.unload(sha256)

    def adapters(self) -> list[ResidentAdapter]:
        return self._residency.list() if self._has_started else []

    def _read_adapter(self, ref: AdapterRef) -> AdapterWeights:
        return read_adapter(ref, self._rules)

    # --- health -----------------------------------------------------------------------------------------------------

    def health(self) -> EngineHealth:
        state, detail = self._state, ""
        if not self._has_started:
            return EngineHealth(
                state=state, detail=state, queue_length=0, batch_size=0, kv_used_tokens=0, kv_capacity_tokens=0
            )
        silence_s = time.monotonic() - self._worker.last_sign_of_life
        if state == "ready" and self._worker.has_ended:
            state, detail = "dead", self._worker.death or "the engine's thread has ended"
        elif state == "ready" and silence_s > _STALLED_AFTER_S:
            state, detail = "dead", f"no step finished for {silence_s:.0f} s"
        return EngineHealth(
            state=state,
            detail=detail,
            queue_length=self._scheduler.waiting,
            batch_size=self._scheduler.active,
            kv_used_tokens=self._scheduler.kv.used,
            kv_capacity_tokens=self._scheduler.kv.capacity,
        )

    @property
    def _retry_after_s(self) -> float:
        return float(self._config.inference.retry_after_seconds)

    def _note_quiet(self) -> None:
        if not self._queues and not self._arriving:
            self._quiet.set()

    @contextlib.contextmanager
    def _draining_instead_of_cancelled(self) -> Iterator[None]:
        """`stop` closes the executors; whoever was on the way through them is told so, and is not "cancelled"."""
        try:
            yield
        except (asyncio.CancelledError, RuntimeError):
            task = asyncio.current_task()
            if self._state == "draining" and not (task and task.cancelling()):
                raise self._draining() from None
            raise

    def _draining(self) -> Draining:
        return Draining("The server is stopping.", remedy="Ask again in a moment.", retry_after_s=self._retry_after_s)

    def _refuse_unless_ready(self) -> None:
        if self._state == "draining":
            raise self._draining()
        if self.health().state != "ready":
            raise self._unavailable()

    def _unavailable(self) -> EngineUnavailable:
        health = self.health()
        return EngineUnavailable(
            f"The engine is {health.state}{': ' + health.detail if health.detail else ''}.",
            remedy="Try again in a moment." if health.state == "loading" else "Restart the server.",
            retry_after_s=self._retry_after_s,
        )


def _post(loop: asyncio.AbstractEventLoop, deliver: Callable[[list[Parcel]], None], parcels: list[Parcel]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to read
        loop.call_soon_threadsafe(deliver, parcels)
