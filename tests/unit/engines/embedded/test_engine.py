"""What a caller of the engine can rely on: streaming, leaving, limits, errors that stay alone, draining."""

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.fakes.tiny_models import CHAT_TEMPLATE, make_adapter
from tests.unit.engines.embedded.asking import ask, ask_all, question
from tests.unit.engines.embedded.conftest import EngineMaker, TinyWorld, reference, tiny_config
from turkish_ai.engines.adapters import AdapterWeights
from turkish_ai.engines.embedded import EmbeddedEngine, worker
from turkish_ai.engines.embedded.kv import KvShape, SequenceKv
from turkish_ai.engines.embedded.model import PackedModel, StepInput
from turkish_ai.engines.embedded.sequence import Group
from turkish_ai.errors import (
    AdapterInUse,
    AdapterMemoryFull,
    AdapterNotFound,
    AdapterRefused,
    ContextLengthExceeded,
    Draining,
    EngineUnavailable,
    GenerationFailed,
    QueueFull,
    ValueOutOfRange,
)
from turkish_ai.messages import GenerationRequest, TextDelta
from turkish_ai.metrics import Metrics
from turkish_ai.settings import SECTOR_IDS


@pytest.fixture
def llama(worlds: dict[str, TinyWorld]) -> TinyWorld:
    return worlds["llama"]


async def until(true: Callable[[], bool]) -> None:
    """Poll, within a bound: what is waited for happens in the engine's own thread."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # there is no event to wait for, on purpose
            await asyncio.sleep(0.005)


async def settled(engine: EmbeddedEngine) -> None:
    """Wait until nothing is in the batch."""

    def is_empty() -> bool:
        health = engine.health()
        return not (health.batch_size or health.queue_length or health.kv_used_tokens)

    await until(is_empty)


async def exhausted(stream: AsyncGenerator[TextDelta, None]) -> None:
    async for _ in stream:
        pass


async def test_usage_timings_and_finish_come_with_the_last_piece(llama: TinyWorld, engine_for: EngineMaker) -> None:
    async with engine_for(llama.base) as engine:
        answer = await ask(engine, question("merhaba", max_tokens=9, ignore_eos=True))
        last = answer.deltas[-1]
    assert answer.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == len(answer.tokens) == 9
    assert last.usage.prompt_tokens > 5
    assert last.timings is not None
    assert 0 <= last.timings.queued_s <= last.timings.first_token_s <= last.timings.total_s
    assert all(d.usage is None for d in answer.deltas[:-1])


async def test_a_stop_string_ends_the_answer_and_never_leaks(llama: TinyWorld, engine_for: EngineMaker) -> None:
    async with engine_for(llama.base) as engine:
        whole = await ask(engine, question("merhaba", max_tokens=40, ignore_eos=True))
        assert len(whole.text) > 12
        stop = whole.text[6:10]
        cut = await ask(engine, question("merhaba", max_tokens=40, ignore_eos=True, stop=(stop,)))
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert len(cut.tokens) < len(whole.tokens)


async def test_log_probabilities_never_tell_a_part_of_a_stop_string(llama: TinyWorld, engine_for: EngineMaker) -> None:
    asked = {"max_tokens": 40, "ignore_eos": True, "top_logprobs": 0}
    async with engine_for(llama.base) as engine:
        whole = await ask(engine, question("merhaba", **asked))
        assert len(whole.text) > 24
        for start, end in ((6, 10), (3, 12), (20, 24)):
            stop = whole.text[start:end]
            cut = await ask(engine, question("merhaba", **asked, stop=(stop,)))
            told = b"".join(logprob.token_bytes for delta in cut.deltas for logprob in delta.logprobs)
            assert cut.finish_reason == "stop"
            assert told or start < 20
            assert cut.text.startswith(told.decode(errors="replace"))
    assert len([logprob for delta in whole.deltas for logprob in delta.logprobs]) == len(whole.tokens)


async def test_n_answers_share_a_prompt_and_equal_n_requests_with_the_same_seed(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    settings = {"max_tokens": 12, "temperature": 1.0, "seed": 3, "ignore_eos": True}
    long_text = "merhaba dünya " * 8  # several chunks
    async with engine_for(llama.base) as engine:
        three = await ask_all(engine, question(long_text, n=3, adapter=llama.adapters[0], **settings))
        one = await ask(engine, question(long_text, adapter=llama.adapters[0], **settings))
        usage = three[0].deltas[-1].usage or three[1].deltas[-1].usage or three[2].deltas[-1].usage
        await settled(engine)
    assert one.tokens == three[0].tokens
    assert len({tuple(answer.tokens) for answer in three}) == 3
    assert usage is not None
    assert usage.completion_tokens == 36


async def test_closing_the_stream_leaves_the_batch_within_two_steps_and_frees_its_memory(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    async with engine_for(llama.base) as engine:
        steps = count_steps(engine)
        stream = engine.generate(question("merhaba", adapter=llama.adapters[0], max_tokens=300, ignore_eos=True))
        await anext(stream)
        before = steps[0]
        await stream.aclose()
        await settled(engine)
        assert steps[0] - before <= 2
        assert engine.adapters()[0].users == 0
        await engine.unload(llama.adapters[0].sha256)


async def test_a_cancelled_task_frees_its_place_wherever_it_was(llama: TinyWorld, engine_for: EngineMaker) -> None:
    async with engine_for(llama.base, max_batch=2, max_queue=30) as engine:
        tasks = [
            asyncio.create_task(
                ask(engine, question(f"soru {i} " * 9, adapter=llama.adapters[i % 5], max_tokens=200, ignore_eos=True))
            )
            for i in range(20)
        ]
        for i, task in enumerate(tasks):
            await asyncio.sleep(0.003 * (i % 4))
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results)
        await settled(engine)
        assert [a.users for a in engine.adapters()] == [0] * len(engine.adapters())
        assert (await ask(engine, question("hâlâ orada mısın?", max_tokens=3))).finish_reason


async def test_a_long_prompt_does_not_stall_the_others(llama: TinyWorld, engine_for: EngineMaker) -> None:
    """Every step that computes a piece of it also decodes the short answer's next token."""
    async with engine_for(llama.base, prefill_chunk_tokens=8) as engine:
        shapes: list[tuple[int, int]] = []  # rows decoded, prompt tokens computed
        real = engine._model.step

        def step(work: StepInput) -> torch.Tensor:
            rows = len(work.attention.decode)
            shapes.append((rows, len(work.tokens) - rows))
            return real(work)

        engine._model.step = step  # type: ignore[method-assign]
        stream = engine.generate(question("kısa", max_tokens=200, ignore_eos=True))
        await anext(stream)
        seen = len(shapes)
        other = asyncio.create_task(ask(engine, question("uzun " * 60, max_tokens=2, ignore_eos=True)))
        await exhausted(stream)
        await other
    beside = [rows for rows, prompt_tokens in shapes[seen:] if prompt_tokens]
    assert len(beside) > 10, "the prompt took many steps"
    assert all(rows == 1 for rows in beside)
    assert max(prompt_tokens for _, prompt_tokens in shapes) <= 8


async def test_a_short_prompt_does_not_wait_for_long_ones_and_answers_the_same(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    short = question("x", max_tokens=8, ignore_eos=True, top_logprobs=2)
    async with engine_for(llama.base) as engine:
        alone = await ask(engine, short)
        steps = count_steps(engine)
        long = question("uzun kelime " * 30, max_tokens=1, ignore_eos=True)
        others = [asyncio.create_task(ask(engine, long)) for _ in range(8)]
        await until(lambda: engine.health().batch_size == 8)
        before = steps[0]
        stream = engine.generate(short)
        deltas = [await anext(stream)]
        waited = steps[0] - before
        deltas += [delta async for delta in stream]
        await asyncio.gather(*others)
    assert waited < 40, "the long ones take 126 steps"
    assert [d.logprobs for d in deltas] == [d.logprobs for d in alone.deltas]


async def test_a_full_queue_refuses_with_the_time_to_come_back(llama: TinyWorld, engine_for: EngineMaker) -> None:
    metrics = Metrics(sectors=SECTOR_IDS)
    async with engine_for(llama.base, max_batch=1, max_queue=2, metrics=metrics) as engine:
        tasks = [asyncio.create_task(ask(engine, question("x", max_tokens=150, ignore_eos=True))) for _ in range(8)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [r for r in results if isinstance(r, QueueFull)]
    assert len(refused) == 5
    assert all(r.retry_after_s == 2 for r in refused)
    assert metrics.engine_refusals.labels(code="queue_full")._value.get() == 5


async def test_what_can_never_fit_is_refused_with_the_numbers(llama: TinyWorld, engine_for: EngineMaker) -> None:
    async with engine_for(llama.base) as engine:
        with pytest.raises(ContextLengthExceeded, match=r"up to 512 more were asked for.*context has 512"):
            await ask(engine, question("x", max_tokens=512))
    async with engine_for(llama.base, kv_cache_mib=1, max_batch=16) as engine:
        with pytest.raises(ContextLengthExceeded, match="KV memory"):
            await ask_all(engine, question("x", max_tokens=400, n=16))


async def test_a_text_that_cannot_fit_is_refused_before_it_is_tokenised(
    llama: TinyWorld, engine_for: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenised: list[str] = []
    async with engine_for(llama.base) as engine:
        monkeypatch.setattr(engine._encoder, "tokens", tokenised.append)
        with pytest.raises(ContextLengthExceeded, match=r"at least \d{4,} tokens.*context has 512"):
            await ask(engine, question("<" * 200_000, max_tokens=4))
    assert not tokenised


async def test_an_adapter_that_overflows_harms_its_own_request_alone(
    llama: TinyWorld, engine_for: EngineMaker, tmp_path: Path
) -> None:
    """Finite numbers, so it is served; what they compute is infinite."""
    folder = make_adapter(llama.base, tmp_path / "hostile", seed=1)
    tensors = {name: torch.full_like(t, 1e30) for name, t in load_file(folder / "adapter_model.safetensors").items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    good = question("merhaba", adapter=llama.adapters[0], max_tokens=30, ignore_eos=True)
    async with engine_for(llama.base) as engine:
        alone = await ask(engine, good)
        beside, broken = await asyncio.gather(
            ask(engine, good),
            ask(engine, question("merhaba", adapter=reference(folder), max_tokens=30)),
            return_exceptions=True,
        )
        await settled(engine)
    assert isinstance(broken, GenerationFailed)
    assert "hostile" in broken.message
    assert not isinstance(beside, BaseException)
    assert beside.tokens == alone.tokens


async def test_a_refused_adapter_leaves_the_others_serving(
    llama: TinyWorld, engine_for: EngineMaker, tmp_path: Path
) -> None:
    folder = make_adapter(llama.base, tmp_path / "broken", seed=1)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    good = question("merhaba", adapter=llama.adapters[0], max_tokens=20, ignore_eos=True)
    async with engine_for(llama.base) as engine:
        fine, refused = await asyncio.gather(
            ask(engine, good), ask(engine, question("x", adapter=reference(folder))), return_exceptions=True
        )
        assert isinstance(refused, AdapterRefused)
        assert not isinstance(fine, BaseException)
        assert [a.ref.name for a in engine.adapters()] == ["a0"]


async def test_what_is_refused_pushes_no_good_adapter_out(
    llama: TinyWorld, engine_for: EngineMaker, tmp_path: Path
) -> None:
    folder = make_adapter(llama.base, tmp_path / "broken", seed=1)
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    async with engine_for(llama.base, max_resident_adapters=2) as engine:
        for good in llama.adapters[:2]:
            await engine.load(good)
        with pytest.raises(AdapterRefused):
            await ask(engine, question("x", adapter=reference(folder)))
        with pytest.raises(ValueOutOfRange, match="n is 200"):
            await ask_all(engine, question("x", adapter=llama.adapters[2], n=200))
        assert [a.ref.name for a in engine.adapters()] == ["a0", "a1"]


async def test_the_least_recently_used_adapter_makes_room_and_never_one_in_use_or_pinned(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    a, b, c, d, _ = llama.adapters
    async with engine_for(llama.base, max_resident_adapters=3) as engine:
        await engine.load(a, pinned=True)
        await engine.load(b)
        running = engine.generate(question("x", adapter=b, max_tokens=400, ignore_eos=True))
        await anext(running)
        await engine.load(c)
        await engine.load(d)
        assert {r.ref.name for r in engine.adapters()} == {"a0", "a1", "a3"}
        with pytest.raises(AdapterInUse):
            await engine.unload(b.sha256)
        await engine.load(d, pinned=True)
        with pytest.raises(AdapterMemoryFull):
            await engine.load(c)
        await running.aclose()
        await settled(engine)
        await engine.load(c)
        assert {r.ref.name for r in engine.adapters()} == {"a0", "a2", "a3"}
        with pytest.raises(AdapterNotFound):
            await engine.unload(b.sha256)


async def test_a_step_that_fails_is_run_apart_and_only_the_guilty_request_fails(
    llama: TinyWorld, engine_for: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [question(f"soru {i}", adapter=llama.adapters[i], max_tokens=40, ignore_eos=True) for i in range(4)]
    async with engine_for(llama.base) as engine:
        alone = [await ask(engine, r) for r in requests]
        real_step = engine._model.step
        real_group = engine._group
        groups: dict[str, Group] = {}

        def group(request: GenerationRequest, prompt: list[int], weights: AdapterWeights | None) -> Group:
            return groups.setdefault(request.request_id, real_group(request, prompt, weights))

        def step(work: StepInput) -> torch.Tensor:
            guilty = groups[requests[1].request_id].answers[0] if len(groups) == len(requests) else None
            if guilty and guilty.written >= 5 and any(kv is guilty.kv for kv in work.attention.decode):
                raise RuntimeError("no memory for this one")
            return real_step(work)

        monkeypatch.setattr(engine, "_group", group)
        monkeypatch.setattr(engine._model, "step", step)
        streams = [engine.generate(r) for r in requests]
        firsts = await asyncio.gather(*(anext(s) for s in streams))
        assert all(f.token_ids for f in firsts)
        with pytest.raises(GenerationFailed):
            await exhausted(streams[1])
        for i in (0, 2, 3):
            tokens = [*firsts[i].token_ids]
            async for delta in streams[i]:
                tokens += delta.token_ids
            assert tokens == alone[i].tokens
        assert engine.health().state == "ready"


async def test_a_request_for_which_there_is_no_memory_fails_alone(
    llama: TinyWorld, engine_for: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = worker.SequenceKv

    def scarce(shape: KvShape, capacity: int) -> SequenceKv:
        if capacity > 200:
            raise RuntimeError("not enough memory")
        return real(shape, capacity)

    monkeypatch.setattr(worker, "SequenceKv", scarce)
    async with engine_for(llama.base) as engine:
        small, large = await asyncio.gather(
            ask(engine, question("x", max_tokens=20, ignore_eos=True)),
            ask(engine, question("x", max_tokens=300, ignore_eos=True)),
            return_exceptions=True,
        )
        assert isinstance(large, GenerationFailed)
        assert not isinstance(small, BaseException)
        assert len(small.tokens) == 20
        await settled(engine)


async def test_an_engine_whose_every_step_fails_is_dead_and_says_so(
    llama: TinyWorld, engine_for: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics(sectors=SECTOR_IDS)
    async with engine_for(llama.base, metrics=metrics) as engine:

        def step(work: StepInput) -> torch.Tensor:
            raise RuntimeError("the model is gone")

        monkeypatch.setattr(engine._model, "step", step)
        for _ in range(3):
            with pytest.raises((GenerationFailed, EngineUnavailable)):
                await ask(engine, question("x", max_tokens=3))
        await until(lambda: engine.health().state == "dead")
        assert b"turkish_ai_engine_ready 0.0" in metrics.render()
        with pytest.raises(EngineUnavailable, match="Restart"):
            await ask(engine, question("x", max_tokens=3))


async def test_draining_lets_running_streams_end_and_refuses_new_ones(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    async with engine_for(llama.base) as engine:
        running = asyncio.create_task(ask(engine, question("x", max_tokens=60, ignore_eos=True)))
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(engine.stop(drain_s=20))
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            await ask(engine, question("y", max_tokens=3))
        assert len((await running).tokens) == 60
        await stopping


async def test_a_stream_that_outlives_the_limit_ends_with_a_typed_error(
    llama: TinyWorld, engine_for: EngineMaker
) -> None:
    async with engine_for(llama.base) as engine:
        stream = engine.generate(question("x", max_tokens=480, ignore_eos=True))
        await anext(stream)
        stopping = asyncio.create_task(engine.stop(drain_s=0.05))
        with pytest.raises(Draining, match="not complete"):
            await exhausted(stream)
        await stopping


async def test_requests_on_their_way_in_are_told_that_the_server_stops(
    llama: TinyWorld, engine_for: EngineMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is being tokenised, the others wait for that; none of them was cancelled by anybody."""
    entered, leave = threading.Event(), threading.Event()
    async with engine_for(llama.base) as engine:
        real = engine._encoder.tokens

        def slow(text: str) -> list[int]:
            entered.set()
            leave.wait(20)
            return real(text)

        monkeypatch.setattr(engine._encoder, "tokens", slow)
        tasks = [asyncio.create_task(ask(engine, question("x", adapter=llama.adapters[0]))) for _ in range(3)]
        await until(entered.is_set)
        await engine.stop(drain_s=0.01)
        leave.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(r) for r in results] == [Draining] * 3
        assert engine.health().state == "draining"


async def test_stopping_before_or_while_starting_leaves_nothing_running(
    llama: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine() -> EmbeddedEngine:
        return EmbeddedEngine(
            model_dir=llama.base,
            config=tiny_config(),
            chat_template=CHAT_TEMPLATE,
            metrics=Metrics(sectors=SECTOR_IDS),
            base_names=("tiny",),
        )

    never = engine()
    await never.stop(drain_s=0)
    assert (never.health().state, never.adapters()) == ("draining", [])
    early = engine()
    starting = asyncio.create_task(early.start())
    await asyncio.sleep(0)
    await early.stop(drain_s=0)
    with pytest.raises(Draining):
        await starting
    assert early.health().state == "draining"


async def test_the_event_loop_stays_free_while_the_model_works(llama: TinyWorld, engine_for: EngineMaker) -> None:
    async with engine_for(llama.base) as engine:
        steps = count_steps(engine)
        request = question("merhaba " * 9, max_tokens=80, ignore_eos=True)
        work = asyncio.gather(*(ask(engine, request) for _ in range(8)))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        await work
    assert turns > 3 * steps[0], "the loop ran many times while a step was computed"


async def test_what_the_engine_did_is_in_the_metrics(llama: TinyWorld, engine_for: EngineMaker) -> None:
    metrics = Metrics(sectors=SECTOR_IDS)
    async with engine_for(llama.base, metrics=metrics) as engine:
        answer = await ask(engine, question("merhaba", adapter=llama.adapters[0], max_tokens=10, ignore_eos=True))
        text = metrics.render().decode()
    prompt = answer.deltas[-1].usage.prompt_tokens  # type: ignore[union-attr]
    for line in (
        f'turkish_ai_engine_tokens_total{{phase="prefill"}} {prompt:.1f}',
        'turkish_ai_engine_tokens_total{phase="decode"} 9.0',
        "turkish_ai_engine_first_token_seconds_count 1.0",
        "turkish_ai_engine_token_seconds_count 9.0",
        'turkish_ai_adapter_loads_total{outcome="ok"} 1.0',
        "turkish_ai_adapters_resident 1.0",
        "turkish_ai_engine_ready 1.0",
    ):
        assert line in text
    assert not re.search(r"^turkish_ai_engine_adapter_table_bytes 0\.0$", text, re.MULTILINE)


def count_steps(engine: EmbeddedEngine) -> list[int]:
    """A counter of the model's steps; the list's one element grows."""
    counted, real = [0], engine._model.step

    def step(work: StepInput) -> torch.Tensor:
        counted[0] += 1
        return real(work)

    engine._model.step = step  # type: ignore[method-assign]
    return counted


def test_a_model_whose_attention_this_engine_cannot_compute_is_refused_at_load(
    llama: TinyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turkish_ai.engines.embedded import attention
    from turkish_ai.errors import UnsupportedModel

    real = attention.packed_attention

    def with_sinks(*args: object, **kwargs: object) -> object:
        return real(*args, **kwargs, s_aux=torch.zeros(4))  # type: ignore[arg-type]

    monkeypatch.setattr(attention, "packed_attention", with_sinks)
    with pytest.raises(UnsupportedModel, match="s_aux"):
        PackedModel(llama.base, max_batch=2, threads=1)
