"""Who is in the batch: admission, chunks of prompts, and leaving.

`submit` and `cancel` are called by the event loop's thread, the rest by the worker's; a lock keeps the few shared
lists. First come, first served into the batch: the head of the queue waits until rows and KV memory are free, and
nobody overtakes it, so no request starves. Inside, a short prompt need not wait for long ones. Knows nothing of
tensors.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from turkish_ai.engines.embedded.kv import KvBudget
from turkish_ai.engines.embedded.sequence import Answer, Group
from turkish_ai.errors import ContextLengthExceeded, QueueFull, ValueOutOfRange


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChunk:
    """Positions `start` to `end` of the answer's prompt; `start` is always a multiple of the chunk size, so the same
    prompt is computed in the same pieces whatever else is in the batch."""

    answer: Answer
    start: int
    end: int

    @property
    def completes_prompt(self) -> bool:
        return self.end == len(self.answer.group.prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step. `decode` is in row order; `admitted` are the requests that joined just now."""

    decode: tuple[Answer, ...]
    prefill: tuple[PromptChunk, ...]
    admitted: tuple[Group, ...]

    @property
    def has_work(self) -> bool:
        return bool(self.decode or self.prefill)


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Row `row` is free; if `moved_from` is not None, the answer of that row decodes in `row` from now on."""

    row: int
    moved_from: int | None


class Scheduler:
    """The waiting line, the prompts being computed and the answers being decoded."""

    def __init__(self, *, max_batch: int, max_queue: int, chunk_tokens: int, kv_capacity_tokens: int) -> None:
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._chunk = chunk_tokens
        self.kv = KvBudget(capacity_tokens=kv_capacity_tokens)
        self._lock = threading.Lock()
        self._waiting: deque[Group] = deque()
        self._prefilling: deque[Answer] = deque()  # oldest first
        self._begin_with_oldest = True
        self._forking: dict[Group, list[Answer]] = {}  # answers 1..n-1, waiting for answer 0's prompt
        self._decoding: list[Answer] = []

    # --- from the event loop's thread -------------------------------------------------------------------------------

    def check(self, *, prompt_tokens: int, max_tokens: int, answers: int) -> None:
        """Raise if such a request could never run, however empty the engine is. The message has the numbers."""
        if answers > self._max_batch:
            raise ValueOutOfRange(
                f"n is {answers}; this engine decodes at most {self._max_batch} answers at once.", param="n"
            )
        reserved = answers * KvBudget.reserved(prompt_tokens=prompt_tokens, max_tokens=max_tokens)
        if not self.kv.ever_fits(reserved):
            raise ContextLengthExceeded(
                f"The prompt has {prompt_tokens} tokens and {answers} answer(s) of up to {max_tokens} were asked for: "
                f"{reserved} tokens of KV memory, and the server has {self.kv.capacity} in all.",
                remedy="Shorten the prompt, or lower max_tokens or n.",
                param="messages",
            )

    def submit(self, group: Group, *, retry_after_s: float) -> None:
        """Join the waiting line. Raises what `check` raises, and QueueFull."""
        self.check(prompt_tokens=len(group.prompt), max_tokens=group.sampling.max_tokens, answers=len(group.answers))
        with self._lock:
            if self._room() < 1:
                raise QueueFull(
                    f"{len(self._waiting)} requests are waiting, the most this server lets wait.",
                    remedy="Try again after the time in Retry-After.",
                    retry_after_s=retry_after_s,
                )
            self._waiting.append(group)

    def room(self) -> int:
        """How many more requests may join the line now."""
        with self._lock:
            return self._room()

    def cancel(self, group: Group) -> bool:
        """Take `group` out. True if it was still waiting and has left already; else it leaves before the next step."""
        with self._lock:
            group.cancelled = True
            if group in self._waiting:
                self._waiting.remove(group)
                return True
            return False

    # --- from the worker's thread -----------------------------------------------------------------------------------

    def cancelled(self) -> list[Group]:
        """Requests in the batch that were cancelled since the last step; the worker lets them leave."""
        with self._lock:
            return list(dict.fromkeys(a.group for a in self._active() if a.group.cancelled))

    def plan(self) -> StepPlan:
        """Admit whom there is room for, and say what the next step computes."""
        with self._lock:
            admitted = self._admit()
            return StepPlan(decode=tuple(self._decoding), prefill=tuple(self._chunks()), admitted=tuple(admitted))

    def start_decoding(self, answer: Answer) -> list[tuple[int, Answer]]:
        """`answer`'s prompt is computed: it and the answers that waited for it take the next rows. (row, answer)."""
        with self._lock:
            self._prefilling.remove(answer)
            started = [answer, *self._forking.pop(answer.group, [])]
            first = len(self._decoding)
            self._decoding += started
            return list(enumerate(started, start=first))

    def row_of(self, answer: Answer) -> int:
        """Raises ValueError if it is not decoding."""
        with self._lock:
            return self._decoding.index(answer)

    def leave(self, answer: Answer) -> Departure | None:
        """`answer` is out, its memory free. None if it had no row. Leaving twice is leaving once."""
        with self._lock:
            return self._release(answer)

    def drain(self) -> list[Group]:
        """Empty everything; returns the groups that were in it."""
        with self._lock:
            groups = list(dict.fromkeys([*self._waiting, *(a.group for a in self._active())]))
            self._waiting.clear()
            for answer in self._active():
                self._release(answer)
            return groups

    # --- counts -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def active(self) -> int:
        with self._lock:
            return self._active_count()

    def is_empty(self) -> bool:
        with self._lock:
            return not self._waiting and self._active_count() == 0

    # --- under the lock ---------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """Rows that are free now are room too: a burst that the next step takes in is not a queue."""
        return self._max_queue + max(0, self._max_batch - self._active_count()) - len(self._waiting)

    def _active(self) -> list[Answer]:
        forking: Iterable[Answer] = (a for answers in self._forking.values() for a in answers)
        return [*self._decoding, *self._prefilling, *forking]

    def _active_count(self) -> int:
        return len(self._decoding) + len(self._prefilling) + sum(map(len, self._forking.values()))

    def _admit(self) -> list[Group]:
        admitted = []
        while self._waiting:
            group = self._waiting[0]
            free_rows = self._max_batch - self._active_count()
            if len(group.answers) > free_rows or not self.kv.fits(group.reserved_tokens):
                break
            self._waiting.popleft()
            self.kv.reserve(group.reserved_tokens)
            self._prefilling.append(group.answers[0])
            if len(group.answers) > 1:
                self._forking[group] = group.answers[1:]
            admitted.append(group)
        return admitted

    def _chunks(self) -> list[PromptChunk]:
        """Whole chunks, one per prompt and step, within one chunk's worth of tokens together.

        The first chunk always goes, so prompts cannot starve behind decoding; one chunk bounds how long the others'
        next token waits. Whoever has least left goes first, so that short prompts are not held up by long ones; every
        second step begins with the oldest, so that long ones are not held up for ever by short ones.
        """
        order = sorted(self._prefilling, key=lambda answer: len(answer.group.prompt) - answer.computed)
        if order and self._begin_with_oldest:
            order.remove(self._prefilling[0])
            order.insert(0, self._prefilling[0])
        self._begin_with_oldest = not self._begin_with_oldest
        chunks: list[PromptChunk] = []
        budget = self._chunk
        for answer in order:
            end = min(answer.computed + self._chunk, len(answer.group.prompt))
            if chunks and end - answer.computed > budget:
                break  # who follows has no less to compute
            chunks.append(PromptChunk(answer=answer, start=answer.computed, end=end))
            budget -= end - answer.computed
        return chunks

    def _release(self, answer: Answer) -> Departure | None:
        departure = None
        if answer in self._decoding:
            row = self._decoding.index(answer)
            last = self._decoding.pop()
            if last is not answer:
                self._decoding[row] = last
            departure = Departure(row=row, moved_from=None if last is answer else len(self._decoding))
        elif answer in self._prefilling:
            self._prefilling.remove(answer)
        elif answer in self._forking.get(answer.group, []):
            self._forking[answer.group].remove(answer)
            if not self._forking[answer.group]:
                del self._forking[answer.group]
        else:
            return None
        self.kv.release(answer.reserved_tokens)
        return departure
