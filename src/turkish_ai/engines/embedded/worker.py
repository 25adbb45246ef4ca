"""The thread that runs the model: one step after another, for as long as there is work.

Started by `engine`. Between two steps requests join and leave; what a step produced is handed to the event loop in
one call. A request that fails, fails alone; if a whole step fails, its parts are run one by one to find whose fault
it was. Knows nothing of HTTP or of the loop, but for the one function that it posts to.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from torch import Tensor

from turkish_ai.engines.embedded.attention import AttentionStep, PrefillSpan
from turkish_ai.engines.embedded.kv import SequenceKv
from turkish_ai.engines.embedded.lora import AdapterSpan
from turkish_ai.engines.embedded.model import PackedModel, StepInput
from turkish_ai.engines.embedded.sampler import BrokenLogits, Choice, Sampler
from turkish_ai.engines.embedded.scheduler import Scheduler, StepPlan
from turkish_ai.engines.embedded.sequence import Answer, Group
from turkish_ai.engines.embedded.text import Detokenizer, StopMatcher, token_text
from turkish_ai.errors import EngineUnavailable, GenerationFailed, TurkishAiError
from turkish_ai.messages import FinishReason, TextDelta, Timings, TokenLogprob, Usage
from turkish_ai.metrics import Metrics

log = structlog.get_logger(__name__)

Parcel = tuple[Group, TextDelta | TurkishAiError]
_IDLE_WAIT_S = 1.0
_MAX_BARREN_STEPS = 3
"""Steps in a row that fail for every request in them; then the engine is dead and says so."""


class Worker:
    """Owns the model. `wake` and `stop` may be called from any thread."""

    def __init__(
        self,
        *,
        model: PackedModel,
        scheduler: Scheduler,
        tokenizer: Any,
        stop_ids: frozenset[int],
        metrics: Metrics,
        post: Callable[[list[Parcel]], None],
    ) -> None:
        self._model = model
        self._scheduler = scheduler
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids
        self._metrics = metrics
        self._post = post
        self._parcels: list[Parcel] = []
        self._wake = threading.Event()
        self._stopping: TurkishAiError | None = None
        self._barren_steps = 0
        self.last_sign_of_life = time.monotonic()
        self.death: str | None = None
        self.has_ended = False
        self._thread = threading.Thread(target=self._main, name="turkish-ai-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self, reason: TurkishAiError) -> None:
        """End after the running step; whoever is still there gets `reason`."""
        self._stopping = reason
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        reason: TurkishAiError
        try:
            while self._stopping is None:
                self._wake.clear()
                self._turn()
            reason = self._stopping
        except BaseException as error:  # the edge of the thread: nothing above could see it
            log.exception("engine thread died")
            self.death = f"{type(error).__name__}: {error}"
            reason = EngineUnavailable("The engine has stopped working.", remedy="Restart the server.")
        self.has_ended = True  # before the queue is emptied: who submits after that sees it
        for group in self._scheduler.drain():
            group.unfinished = 0
            group.ended()
            self._parcels.append((group, reason))
        self._send()

    def _turn(self) -> None:
        self.last_sign_of_life = time.monotonic()
        for group in self._scheduler.cancelled():
            self._let_go(group)
        self._model.lora_tables.shrink()
        plan = self._scheduler.plan()
        equipped = [self._equip(group) for group in plan.admitted]
        if not all(equipped):
            self._send()
            return  # one has left again: the next turn plans without it
        if not plan.has_work:
            self._measure()
            self._wake.wait(_IDLE_WAIT_S)
            return
        started = time.perf_counter()
        try:
            logits = self._compute(plan, first_row=0)
        except Exception:  # whose fault it was is found out below
            log.exception("step failed; running its parts one by one")
            self._step_apart(plan)
        else:
            self._barren_steps = 0
            self._advance(plan, logits)
        self._metrics.step_seconds.observe(time.perf_counter() - started)
        self._measure()
        self._send()

    def _send(self) -> None:
        if self._parcels:
            parcels, self._parcels = self._parcels, []
            self._post(parcels)

    # --- a request comes and goes -----------------------------------------------------------------------------------

    def _equip(self, group: Group) -> bool:
        """Memory and helpers for an admitted request. False if this machine had none to give; then it has failed."""
        group.admitted_at = time.perf_counter()
        try:
            for answer in group.answers:
                answer.kv = SequenceKv(self._model.kv_shape, answer.reserved_tokens)
                answer.sampler = Sampler(group.sampling, prompt=group.prompt, index=answer.index)
                answer.detokenizer = Detokenizer(self._tokenizer, group.prompt)
                answer.stops = StopMatcher(group.sampling.stop)
        except (RuntimeError, MemoryError) as error:  # torch reports a failed allocation as RuntimeError
            log.exception("no memory for a request", request_id=group.request_id)
            self._fail(group, GenerationFailed(f"The answer could not be computed ({type(error).__name__})."))
            return False
        return True

    def _leave(self, answer: Answer) -> None:
        """Out of the batch: its row goes to the last one, its memory goes back."""
        departure = self._scheduler.leave(answer)
        if departure is not None:
            if departure.moved_from is None:
                self._model.lora_tables.fill(departure.row, None)
            else:
                self._model.lora_tables.move(departure.moved_from, departure.row)
        answer.kv = None

    def _let_go(self, group: Group) -> None:
        for answer in group.answers:
            self._leave(answer)
        if group.unfinished:
            group.unfinished = 0
            group.ended()

    def _fail(self, group: Group, error: TurkishAiError) -> None:
        if group.unfinished:
            self._parcels.append((group, error))
            self._let_go(group)

    # --- a step -----------------------------------------------------------------------------------------------------

    def _compute(self, plan: StepPlan, *, first_row: int) -> Tensor:
        """Logits, one row per decoding answer and then one per prompt that this step completes.

        `first_row` is the table row of the plan's first decoding answer. Changes nothing but KV memory beyond
        `length`, so a step that failed can be computed again.
        """
        tokens = [answer.last_token for answer in plan.decode]
        kvs = [_memory(answer) for answer in plan.decode]
        positions = [kv.length for kv in kvs]
        keep = list(range(len(plan.decode)))
        spans: list[PrefillSpan] = []
        adapters: list[AdapterSpan] = []
        for chunk in plan.prefill:
            start, group = len(tokens), chunk.answer.group
            tokens += group.prompt[chunk.start : chunk.end]
            positions += range(chunk.start, chunk.end)
            spans.append(PrefillSpan(start=start, end=len(tokens), kv=_memory(chunk.answer)))
            if group.weights is not None:
                adapters.append(AdapterSpan(start=start, end=len(tokens), weights=group.weights))
            if chunk.completes_prompt:
                keep.append(len(tokens) - 1)
        lora = self._model.lora_step
        lora.decode_rows, lora.first_row, lora.prefill = len(plan.decode), first_row, adapters
        logits = self._model.step(
            StepInput(
                tokens=tokens,
                positions=positions,
                keep=keep
                or [len(tokens) - 1],  # inside a prompt no logits are wanted; one row is computed all the same
                attention=AttentionStep(decode=kvs, prefill=spans),
            )
        )
        return logits[: len(keep)]

    def _advance(self, plan: StepPlan, logits: Tensor) -> None:
        """The step is computed: count it, and give every answer its next token."""
        for answer in plan.decode:
            _memory(answer).length += 1
        completed: list[Answer] = []
        for chunk in plan.prefill:
            _memory(chunk.answer).length = chunk.end
            chunk.answer.computed = chunk.end
            if chunk.completes_prompt:
                completed.append(chunk.answer)
        greedy = logits.max(dim=-1)
        values, tokens = greedy.values.tolist(), greedy.indices.tolist()
        for row, answer in enumerate(plan.decode):
            self._continue(answer, logits[row], values[row], tokens[row])
        for row, answer in enumerate(completed, start=len(plan.decode)):
            self._begin(answer, logits[row], values[row], tokens[row])
        self._metrics.engine_tokens.labels(phase="prefill").inc(sum(c.end - c.start for c in plan.prefill))
        self._metrics.engine_tokens.labels(phase="decode").inc(len(plan.decode))
        if plan.decode:
            self._metrics.batch_rows.observe(len(plan.decode))

    def _begin(self, first: Answer, logits: Tensor, best: float, greedy: int) -> None:
        """A prompt is computed: its answers take rows, share its memory, and each chooses its first token."""
        group = first.group
        if not group.unfinished:
            return
        try:
            for row, answer in self._scheduler.start_decoding(first):
                self._model.lora_tables.fill(row, group.weights)
                if answer is not first:
                    _memory(answer).copy_from(_memory(first), len(group.prompt))
        except (RuntimeError, MemoryError) as error:
            log.exception("request failed while joining the batch", request_id=group.request_id)
            self._fail(group, GenerationFailed(f"The answer could not be computed ({type(error).__name__})."))
            return
        for answer in group.answers:
            self._continue(answer, logits, best, greedy)

    def _continue(self, answer: Answer, logits: Tensor, best: float, greedy: int) -> None:
        """Choose, decode and hand out one token. Whatever goes wrong here is this request's alone."""
        group = answer.group
        if not group.unfinished:
            return  # another of its answers failed in this step
        try:
            assert answer.sampler is not None
            if not math.isfinite(best):  # from an adapter whose numbers overflow
                raise BrokenLogits
            choice = Choice(token=greedy) if answer.sampler.is_plain_greedy else answer.sampler.choose(logits)
            finished = self._write(answer, choice)
        except BrokenLogits:
            adapter = group.weights.ref.name if group.weights else "the base model"
            self._fail(group, GenerationFailed(f"The answer broke off: {adapter} gave values that are not numbers."))
            return
        except Exception as error:
            log.exception("request failed while choosing a token", request_id=group.request_id)
            self._fail(group, GenerationFailed(f"The answer could not be computed ({type(error).__name__})."))
            return
        if finished:
            self._leave(answer)
            group.unfinished -= 1
            if not group.unfinished:
                group.ended()

    def _write(self, answer: Answer, choice: Choice) -> bool:
        """Append a token to the answer and post what may be shown of it. True if the answer is complete."""
        group, now = answer.group, time.perf_counter()
        detokenizer, stops = answer.detokenizer, answer.stops
        assert detokenizer is not None
        assert stops is not None
        self._time(answer, now)
        answer.last_token = choice.token
        answer.written += 1
        answer.unposted.append(choice.token)
        group.completion_tokens += 1
        finish: FinishReason | None = None
        piece = ""
        if choice.token in self._stop_ids and not group.sampling.ignore_eos:
            finish, text = "stop", ""
        else:
            piece = detokenizer.push(choice.token)
            text = stops.push(piece)
            if not stops.stopped and answer.written >= answer.max_tokens:
                finish = "length"
        if finish is not None:
            text += stops.push(detokenizer.flush()) + stops.flush()
        if stops.stopped:
            finish = "stop"
        logprobs: tuple[TokenLogprob, ...] = ()
        if choice.logprob is not None:
            answer.logprobs.push(self._logprobs(choice), piece)
            logprobs = answer.logprobs.pull(text)
            if finish is not None and not stops.stopped:
                logprobs += answer.logprobs.flush()
        last = finish is not None and group.unfinished == 1
        delta = TextDelta(
            index=answer.index,
            text=text,
            token_ids=tuple(answer.unposted),
            logprobs=logprobs,
            finish_reason=finish,
            usage=Usage(prompt_tokens=len(group.prompt), completion_tokens=group.completion_tokens) if last else None,
            timings=_timings(group, now) if last else None,
        )
        if delta.text or delta.logprobs or finish:
            answer.unposted.clear()
            self._parcels.append((group, delta))
        return finish is not None

    def _logprobs(self, choice: Choice) -> tuple[TokenLogprob, ...]:
        if choice.logprob is None:
            return ()
        text, raw = token_text(self._tokenizer, choice.token)
        top = tuple((*token_text(self._tokenizer, token), logprob) for token, logprob in choice.top)
        return (TokenLogprob(token=text, token_bytes=raw, logprob=choice.logprob, top=top),)

    # --- when a step fails ------------------------------------------------------------------------------------------

    def _step_apart(self, plan: StepPlan) -> None:
        """Each part of a failed step by itself, so that one broken request fails alone."""
        parts = [StepPlan(decode=(answer,), prefill=(), admitted=()) for answer in plan.decode]
        parts += [StepPlan(decode=(), prefill=(chunk,), admitted=()) for chunk in plan.prefill]
        survivors = sum(self._survives(part) for part in parts)
        self._barren_steps = 0 if survivors else self._barren_steps + 1
        if self._barren_steps >= _MAX_BARREN_STEPS:
            raise RuntimeError(f"{self._barren_steps} steps in a row failed for every request in them")

    def _survives(self, part: StepPlan) -> bool:
        answer = part.decode[0] if part.decode else part.prefill[0].answer
        group = answer.group
        if not group.unfinished:
            return False
        row = self._scheduler.row_of(answer) if part.decode else 0
        try:
            logits = self._compute(part, first_row=row)
        except Exception as error:  # whatever the model's code raised is this request's failure, not the thread's
            log.exception("request failed while decoding", request_id=group.request_id)
            self._fail(group, GenerationFailed(f"The answer could not be computed ({type(error).__name__})."))
            return False
        self._advance(part, logits)
        return True

    # --- figures ----------------------------------------------------------------------------------------------------

    def _time(self, answer: Answer, now: float) -> None:
        group = answer.group
        if not group.first_token_at:
            group.first_token_at = now
            self._metrics.first_token_seconds.observe(now - group.arrived_at)
        elif answer.last_token_at:
            self._metrics.token_seconds.observe(now - answer.last_token_at)
        answer.last_token_at = now

    def _measure(self) -> None:
        scheduler, metrics = self._scheduler, self._metrics
        bytes_per_token = self._model.kv_shape.bytes_per_token
        metrics.queue_length.set(scheduler.waiting)
        metrics.batch_size.set(scheduler.active)
        metrics.kv_used_bytes.set(scheduler.kv.used * bytes_per_token)
        metrics.adapter_table_bytes.set(self._model.lora_tables.bytes)
        metrics.kv_capacity_bytes.set(scheduler.kv.capacity * bytes_per_token)


def _memory(answer: Answer) -> SequenceKv:
    assert answer.kv is not None
    return answer.kv


def _timings(group: Group, now: float) -> Timings:
    return Timings(
        queued_s=group.admitted_at - group.arrived_at,
        first_token_s=group.first_token_at - group.arrived_at,
        total_s=now - group.arrived_at,
    )
