"""Random arrivals, cancels and endings: nothing lost, nothing twice, no row or memory leaked, nobody overtaken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from turkish_ai.engines.embedded.kv import KvBudget
from turkish_ai.engines.embedded.scheduler import Scheduler
from turkish_ai.engines.embedded.sequence import Answer, Group
from turkish_ai.errors import ContextLengthExceeded, QueueFull, ValueOutOfRange
from turkish_ai.messages import Sampling

CHUNK = 8


def group(prompt_tokens: int, max_tokens: int, n: int = 1) -> Group:
    made = Group(
        request_id="",
        prompt=[1] * prompt_tokens,
        sampling=Sampling(max_tokens=max_tokens),
        weights=None,
        deliver=lambda item: None,
        ended=lambda: None,
        unfinished=n,
    )
    made.answers = [Answer(group=made, index=i, max_tokens=max_tokens) for i in range(n)]
    return made


class BatchLife(RuleBasedStateMachine):
    """Plays the event loop and the worker; `rows` is what the adapter table would hold."""

    @initialize(
        batch=st.integers(1, 6), queue=st.integers(0, 5), kv_blocks=st.integers(4, 40), chunk=st.integers(1, 20)
    )
    def begin(self, batch: int, queue: int, kv_blocks: int, chunk: int) -> None:
        self.batch, self.queue, self.chunk = batch, queue, chunk
        self.scheduler = Scheduler(
            max_batch=batch, max_queue=queue, chunk_tokens=chunk, kv_capacity_tokens=kv_blocks * 16
        )
        self.accepted: list[Group] = []
        self.admitted: list[Group] = []
        self.gone: list[Group] = []
        self.rows: list[Answer] = []
        self.computed: dict[Answer, int] = {}

    @rule(prompt=st.integers(1, 60), tokens=st.integers(1, 40), n=st.integers(1, 4))
    def arrive(self, prompt: int, tokens: int, n: int) -> None:
        new = group(prompt, tokens, n)
        waiting, active = self.scheduler.waiting, self.scheduler.active
        try:
            self.scheduler.submit(new, retry_after_s=1.0)
        except QueueFull:
            assert waiting >= self.queue + max(0, self.batch - active)
        except ContextLengthExceeded:
            assert new.reserved_tokens > self.scheduler.kv.capacity
        except ValueOutOfRange:
            assert n > self.batch
        else:
            self.accepted.append(new)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.accepted))
        if chosen in self.gone or chosen.cancelled:
            return
        if self.scheduler.cancel(chosen):
            assert chosen not in self.admitted
            self.gone.append(chosen)

    def _leave(self, answer: Answer) -> None:
        departure = self.scheduler.leave(answer)
        if departure is None:
            assert answer not in self.rows
            return
        assert self.rows[departure.row] is answer
        if departure.moved_from is None:
            assert departure.row == len(self.rows) - 1
        else:
            assert departure.moved_from == len(self.rows) - 1
            self.rows[departure.row] = self.rows[departure.moved_from]
        self.rows.pop()

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        for cancelled in self.scheduler.cancelled():
            for answer in cancelled.answers:
                self._leave(answer)
            self.gone.append(cancelled)
        plan = self.scheduler.plan()
        self.admitted += plan.admitted
        assert not any(a.group.cancelled for a in plan.decode)
        assert list(plan.decode) == self.rows
        assert plan.has_work or not any(g for g in self.accepted if g not in self.gone), "work waits and nobody works"
        tokens = sum(c.end - c.start for c in plan.prefill)
        assert tokens <= self.chunk
        for chunk in plan.prefill:
            assert chunk.start == chunk.answer.computed == self.computed.get(chunk.answer, 0)
            assert chunk.start % self.chunk == 0
            assert chunk.end > chunk.start
            chunk.answer.computed = self.computed[chunk.answer] = chunk.end
            if chunk.completes_prompt:
                started = self.scheduler.start_decoding(chunk.answer)
                assert [row for row, _ in started] == list(
                    range(len(self.rows), len(self.rows) + len(chunk.answer.group.answers))
                )
                self.rows += [answer for _, answer in started]
        ending = data.draw(st.lists(st.sampled_from(self.rows), unique_by=id, max_size=3)) if self.rows else []
        for answer in ending:
            self._leave(answer)
            answer.group.unfinished -= 1
            if not answer.group.unfinished:
                self.gone.append(answer.group)

    @invariant()
    def memory_and_rows_add_up(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        inside = [g for g in self.admitted if g not in self.gone]
        kv = sum(a.reserved_tokens for g in inside for a in g.answers if not self._left(a))
        assert self.scheduler.kv.used == kv <= self.scheduler.kv.capacity
        assert self.scheduler.active == sum(1 for g in inside for a in g.answers if not self._left(a)) <= self.batch
        assert len(self.gone) == len(set(map(id, self.gone))), "a request ended twice"

    def _left(self, answer: Answer) -> bool:
        prompt_done = self.computed.get(answer.group.answers[0], 0) == len(answer.group.prompt)
        return prompt_done and answer not in self.rows

    @invariant()
    def nobody_is_overtaken(self) -> None:
        if hasattr(self, "scheduler"):
            order = [self.accepted.index(g) for g in self.admitted]
            assert order == sorted(order)

    def teardown(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        left = self.scheduler.drain()
        assert len(left) == len(set(map(id, left)))
        assert {id(g) for g in left} == {id(g) for g in self.accepted if g not in self.gone}
        assert self.scheduler.kv.used == 0
        assert self.scheduler.is_empty()


TestBatchLife = BatchLife.TestCase
TestBatchLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_request_that_can_never_fit_is_refused_with_the_numbers() -> None:
    scheduler = Scheduler(max_batch=2, max_queue=2, chunk_tokens=CHUNK, kv_capacity_tokens=64)
    with pytest.raises(ContextLengthExceeded, match=r"50 tokens.*up to 20.*80 tokens of KV memory.*64 in all"):
        scheduler.submit(group(50, 20), retry_after_s=1.0)


def test_one_that_cannot_fit_now_waits_and_nobody_overtakes_it() -> None:
    scheduler = Scheduler(max_batch=4, max_queue=4, chunk_tokens=CHUNK, kv_capacity_tokens=64)
    first, large, small = group(30, 3), group(40, 9), group(1, 1)
    for each in (first, large, small):
        scheduler.submit(each, retry_after_s=1.0)
    assert scheduler.plan().admitted == (first,)
    scheduler.leave(first.answers[0])
    assert scheduler.plan().admitted == (large, small)


def finish_steps(scheduler: Scheduler, steps: int) -> list[list[Answer]]:
    """Compute prompts for so many steps; whose prompt was completed in which."""
    completed = []
    for _ in range(steps):
        done = []
        for chunk in scheduler.plan().prefill:
            chunk.answer.computed = chunk.end
            if chunk.completes_prompt:
                scheduler.start_decoding(chunk.answer)
                done.append(chunk.answer)
        completed.append(done)
    return completed


def test_a_short_prompt_overtakes_long_ones_within_two_steps() -> None:
    scheduler = Scheduler(max_batch=16, max_queue=0, chunk_tokens=CHUNK, kv_capacity_tokens=4096)
    for _ in range(8):
        scheduler.submit(group(20 * CHUNK, 4), retry_after_s=1.0)
    finish_steps(scheduler, 3)
    short = group(CHUNK // 2, 4)
    scheduler.submit(short, retry_after_s=1.0)
    assert any(short.answers[0] in completed for completed in finish_steps(scheduler, 2))


def test_a_long_prompt_does_not_starve_behind_short_ones() -> None:
    scheduler = Scheduler(max_batch=200, max_queue=0, chunk_tokens=CHUNK, kv_capacity_tokens=1 << 20)
    long = group(20 * CHUNK, 4)
    scheduler.submit(long, retry_after_s=1.0)
    completed: list[Answer] = []
    for _ in range(40):  # it has 20 chunks; a short prompt of one chunk arrives at every step
        scheduler.submit(group(CHUNK, 1), retry_after_s=1.0)
        completed += finish_steps(scheduler, 1)[0]
    assert long.answers[0] in completed
    assert len(completed) >= 20


def test_the_queue_is_bounded_and_says_when_to_come_back() -> None:
    scheduler = Scheduler(max_batch=1, max_queue=1, chunk_tokens=CHUNK, kv_capacity_tokens=64)
    for _ in range(2):  # one to decode, one to wait
        scheduler.submit(group(4, 4), retry_after_s=3.0)
    with pytest.raises(QueueFull) as refused:
        scheduler.submit(group(4, 4), retry_after_s=3.0)
    assert refused.value.retry_after_s == 3.0


@given(tokens=st.integers(0, 10_000))
def test_reservations_are_whole_blocks(tokens: int) -> None:
    rounded = KvBudget.rounded(tokens)
    assert rounded % 16 == 0
    assert 0 <= rounded - tokens < 16
