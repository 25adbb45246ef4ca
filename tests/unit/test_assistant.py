"""One turn, from the model's name to the last delta, and what is counted however it ends."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.engine import FakeEngine, Gate, Step
from tests.fakes.references import FakeReferences
from tests.fakes.router import FakeRouter
from turkish_ai.assistant import Assistant, Turn, TurnRequest
from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.errors import (
    AdapterBroken,
    AdapterNotFound,
    GenerationFailed,
    InvalidRequest,
    QueueFull,
    UnknownModel,
)
from turkish_ai.messages import Message, Sampling, TextDelta
from turkish_ai.metrics import Metrics
from turkish_ai.settings import SECTOR_IDS, load_model_config

CONFIG = load_model_config(Path(__file__).parents[2] / "configs" / "model_config.json")


class Bench:
    """An assistant with fakes around it, and its metrics."""

    def __init__(
        self,
        *,
        engine: FakeEngine,
        router: FakeRouter,
        adapters_dir: Path,
        blocking: ThreadPoolExecutor,
        general: str | None = None,
    ):
        self.engine = engine
        self.router = router
        self.references = FakeReferences({"kredi": "Kredi notunu zamanında ödeme yükseltir."})
        self.metrics = Metrics(sectors=SECTOR_IDS)
        folders = {"finance_banking": "finance_banking", "healthcare": "healthcare", "legal": None, "energy": "broken"}
        folders |= {"general": general}
        self.assistant = Assistant(
            engine=engine,
            router=router,
            references=self.references,
            catalog=AdapterCatalog(adapters_dir, folders),
            sectors=CONFIG.sectors,
            general=CONFIG.general.model_copy(update={"adapter": general}),
            metrics=self.metrics,
            blocking=blocking,
        )
        self.version = self.assistant._catalog.find("finance_banking").version

    async def turn(self, *texts: str, model: str = "auto", n: int = 1) -> Turn:
        """`texts` are the user's; an answer stands between two of them."""
        messages = [Message(role="user", content=texts[0])]
        for text in texts[1:]:
            messages += [Message(role="assistant", content="..."), Message(role="user", content=text)]
        return await self.assistant.turn(
            TurnRequest(id="turn-1", model=model, messages=tuple(messages), sampling=Sampling(), n=n)
        )

    @asynccontextmanager
    async def open_turn(self, *texts: str, model: str = "auto") -> AsyncIterator[Turn]:
        async with aclosing(await self.turn(*texts, model=model)) as turn:
            yield turn

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def turns(self, sector: str, outcome: str) -> float:
        return self.counted("turkish_ai_turns_total", sector=sector, outcome=outcome)


@pytest.fixture
def adapters_dir(tmp_path: Path) -> Path:
    for sector in ("finance_banking", "broken"):
        folder = tmp_path / sector
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
    (tmp_path / "finance_banking" / "adapter_model.safetensors").write_text("weights")
    return tmp_path


@pytest.fixture
def blocking() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def bench(adapters_dir: Path, blocking: ThreadPoolExecutor) -> Bench:
    return Bench(engine=FakeEngine(), router=FakeRouter(), adapters_dir=adapters_dir, blocking=blocking)


@pytest.fixture(autouse=True)
async def _ready(bench: Bench) -> None:
    await bench.engine.start()


def scripted(bench: Bench, *script: Step) -> None:
    bench.engine.script = script


async def text_of(turn: Turn) -> str:
    async with aclosing(turn):
        return "".join([delta.text async for delta in turn])


# --- which sector, which adapter ------------------------------------------------------------------------------------


async def test_auto_answers_with_the_adapter_of_the_sector_that_the_router_found(bench: Bench) -> None:
    turn = await bench.turn("kredi notum kaç?")
    assert await text_of(turn) == "Merhaba, dünya."
    assert turn.origin.choice.sector == "finance_banking"
    assert turn.origin.adapter is not None
    assert turn.origin.model == f"finance_banking@{bench.version}"
    assert bench.engine.requests[0].adapter == turn.origin.adapter
    assert turn.origin.fallback is None


async def test_the_router_reads_the_last_question_and_the_users_earlier_ones(bench: Bench) -> None:
    await text_of(await bench.turn("kredi çektim", "peki faizi?", "ne zaman biter?"))
    assert bench.router.asked == [("ne zaman biter?", ("kredi çektim", "peki faizi?"))]


async def test_a_sector_without_an_adapter_is_answered_by_the_base_model_which_says_so(bench: Bench) -> None:
    turn = await bench.turn("dava açmak istiyorum")
    await text_of(turn)
    origin = turn.origin
    assert (origin.choice.sector, origin.adapter, origin.model) == ("general", None, "base")
    assert origin.choice.confidence == 0.8125
    assert origin.choice.top[0][0] == "legal"
    assert origin.fallback is not None
    assert (origin.fallback.code, origin.fallback.sector) == ("adapter_not_found", "legal")
    assert origin.fallback.confidence == 0.8125
    assert "Hukuk" in origin.fallback.message_tr
    assert "Legal" in origin.fallback.message_en
    assert bench.counted("turkish_ai_router_fallbacks_total", sector="legal") == 1
    assert bench.counted("turkish_ai_router_choices_total", sector="legal") == 1


async def test_a_configured_folder_that_is_not_there_falls_back_too(bench: Bench) -> None:
    turn = await bench.turn("randevu almak istiyorum")
    await text_of(turn)
    assert turn.origin.fallback is not None
    assert turn.origin.fallback.sector == "healthcare"


async def test_a_broken_adapter_is_an_error_and_never_the_base_models_answer(
    bench: Bench, adapters_dir: Path, blocking: ThreadPoolExecutor
) -> None:
    routed = Bench(
        engine=bench.engine, router=FakeRouter({"elektrik": "energy"}), adapters_dir=adapters_dir, blocking=blocking
    )
    with pytest.raises(AdapterBroken, match=r"adapter_model\.safetensors is missing"):
        await routed.turn("elektrik faturam")
    assert bench.engine.requests == []
    assert routed.counted("turkish_ai_router_choices_total", sector="energy") == 0  # nothing came of it
    assert routed.turns("general", "refused") == 1


def ground(folder: Path) -> None:
    """The card of an adapter that learnt to answer from a reference."""
    (folder / "turkish_ai.json").write_text(json.dumps({"recipe": {"grounded": True}}))


@pytest.mark.parametrize("model", ["auto", "finance_banking"])
async def test_a_grounded_adapter_is_told_the_taught_answer(bench: Bench, adapters_dir: Path, model: str) -> None:
    ground(adapters_dir / "finance_banking")
    turn = await bench.turn("ilk soru", "kredi notum kaç?", model=model)
    await text_of(turn)
    assert turn.origin.reference is not None
    assert turn.origin.reference.family == "kredi"
    told, question = bench.engine.requests[0].messages  # earlier answers would be repeated
    assert told == Message(role="system", content="Bilgi: Kredi notunu zamanında ödeme yükseltir.")
    assert question == Message(role="user", content="kredi notum kaç?")
    assert bench.references.asked == [("finance_banking", "kredi notum kaç?", ("ilk soru",))]
    assert bench.counted("turkish_ai_references_total", sector="finance_banking", found="yes") == 1


async def test_the_callers_instructions_stay_with_a_grounded_adapter(bench: Bench, adapters_dir: Path) -> None:
    ground(adapters_dir / "finance_banking")
    messages = (Message(role="system", content="Kısa yaz."), Message(role="user", content="kredi notum kaç?"))
    turn = await bench.assistant.turn(
        TurnRequest(id="turn-1", model="finance_banking", messages=messages, sampling=Sampling())
    )
    await text_of(turn)
    assert [m.content for m in bench.engine.requests[0].messages] == [
        "Kısa yaz.",
        "Bilgi: Kredi notunu zamanında ödeme yükseltir.",
        "kredi notum kaç?",
    ]


async def test_a_grounded_adapter_is_told_to_admit_it_where_nothing_fits(bench: Bench, adapters_dir: Path) -> None:
    ground(adapters_dir / "finance_banking")
    turn = await bench.turn("bambaşka", model="finance_banking")
    await text_of(turn)
    assert turn.origin.reference is None
    told, question = bench.engine.requests[0].messages
    assert told.role == "system"
    assert told.content.startswith("Bilgi: Bu konuda güvenilir bilgim yok; bankanızın")
    assert question.content == "bambaşka"
    assert bench.counted("turkish_ai_references_total", sector="finance_banking", found="no") == 1


async def test_an_adapter_that_did_not_learn_it_is_told_nothing(bench: Bench) -> None:
    turn = await bench.turn("kredi notum kaç?")
    await text_of(turn)
    assert turn.origin.reference is None
    assert bench.references.asked == []
    assert len(bench.engine.requests[0].messages) == 1


@pytest.fixture
def adapted(adapters_dir: Path, blocking: ThreadPoolExecutor, bench: Bench) -> Bench:
    """With an adapter for `general`."""
    folder = adapters_dir / "general"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text("other weights")
    return Bench(
        engine=bench.engine, router=FakeRouter(), adapters_dir=adapters_dir, blocking=blocking, general="general"
    )


@pytest.mark.parametrize("model", ["auto", "general"])
async def test_generals_own_adapter_answers_what_belongs_to_no_sector(adapted: Bench, model: str) -> None:
    turn = await adapted.turn("merhaba", model=model)
    await text_of(turn)
    origin = turn.origin
    assert origin.adapter is not None
    assert (origin.choice.sector, origin.adapter.name, origin.fallback) == ("general", "general", None)
    again = await adapted.turn("merhaba", model=origin.model)
    await text_of(again)
    assert again.origin.adapter == origin.adapter


async def test_generals_adapter_answers_for_a_sector_without_one_and_says_so(adapted: Bench) -> None:
    turn = await adapted.turn("dava açmak istiyorum")
    await text_of(turn)
    origin = turn.origin
    assert origin.adapter is not None
    assert (origin.choice.sector, origin.adapter.name) == ("general", "general")
    assert origin.fallback is not None
    assert origin.fallback.sector == "legal"
    assert "genel asistan" in origin.fallback.message_tr


async def test_general_names_whom_to_ask_in_a_sector_without_an_adapter(adapted: Bench, adapters_dir: Path) -> None:
    ground(adapters_dir / "general")
    turn = await adapted.turn("dava açmak istiyorum")
    await text_of(turn)
    assert turn.origin.reference is None
    assert "baro" in adapted.engine.requests[-1].messages[0].content
    assert adapted.references.asked == []


async def test_base_is_the_model_as_it_is_although_general_has_an_adapter(adapted: Bench) -> None:
    turn = await adapted.turn("merhaba", model="base")
    await text_of(turn)
    assert (turn.origin.choice.sector, turn.origin.adapter, turn.origin.model) == ("general", None, "base")


async def test_a_configured_adapter_of_general_that_is_not_there_is_said(adapted: Bench, adapters_dir: Path) -> None:
    shutil.rmtree(adapters_dir / "general")
    turn = await adapted.turn("merhaba")
    await text_of(turn)
    assert turn.origin.adapter is None
    assert turn.origin.fallback is not None
    assert turn.origin.fallback.sector == "general"
    with pytest.raises(AdapterNotFound):
        await adapted.turn("merhaba", model="general")


async def test_a_broken_adapter_of_general_is_an_error_too(adapted: Bench, adapters_dir: Path) -> None:
    (adapters_dir / "general" / "adapter_model.safetensors").unlink()
    for text in ("merhaba", "dava açmak istiyorum"):
        with pytest.raises(AdapterBroken):
            await adapted.turn(text)


@pytest.mark.parametrize("model", ["base", "general"])
async def test_base_and_general_are_one_where_general_has_no_adapter(bench: Bench, model: str) -> None:
    turn = await bench.turn("kredi", model=model)
    await text_of(turn)
    assert (turn.origin.choice.sector, turn.origin.adapter) == ("general", None)
    assert bench.router.asked == []


async def test_a_sector_that_was_named_is_not_routed(bench: Bench) -> None:
    turn = await bench.turn("dava", model="finance_banking")
    await text_of(turn)
    assert turn.origin.choice.sector == "finance_banking"
    assert (turn.origin.choice.confidence, turn.origin.choice.top) == (1.0, ())
    assert bench.router.asked == []


async def test_a_named_sector_without_an_adapter_is_refused(bench: Bench) -> None:
    with pytest.raises(AdapterNotFound):
        await bench.turn("soru", model="legal")
    assert bench.turns("legal", "refused") == 1


async def test_a_version_can_be_asked_for(bench: Bench) -> None:
    turn = await bench.turn("soru", model=f"finance_banking@{bench.version}")
    await text_of(turn)
    assert turn.origin.adapter is not None
    assert turn.origin.adapter.version == bench.version


async def test_another_version_than_the_one_that_is_there_is_refused_and_named(bench: Bench) -> None:
    with pytest.raises(UnknownModel) as refused:
        await bench.turn("soru", model="finance_banking@abcdef012345")
    assert bench.version in str(refused.value)
    assert "abcdef012345" in str(refused.value)


@pytest.mark.parametrize("model", ["", "gpt-4", "auto@1", "base@1", "../etc/passwd", "@", "FINANCE_BANKING"])
async def test_an_unknown_model_is_refused_and_counted_under_other(bench: Bench, model: str) -> None:
    with pytest.raises(UnknownModel, match="/v1/models"):
        await bench.turn("soru", model=model)
    assert bench.turns("other", "refused") + bench.turns("general", "refused") == 1


async def test_a_conversation_without_a_user_cannot_be_routed(bench: Bench) -> None:
    request = TurnRequest(
        id="t", model="auto", messages=(Message(role="system", content="x"),), sampling=Sampling(), n=1
    )
    with pytest.raises(InvalidRequest):
        await bench.assistant.turn(request)


# --- how it ends ----------------------------------------------------------------------------------------------------


async def test_a_complete_answer_counts_its_tokens_and_its_end(bench: Bench) -> None:
    turn = await bench.turn("kredi")
    await text_of(turn)
    assert bench.turns("finance_banking", "stop") == 1
    assert bench.counted("turkish_ai_tokens_total", sector="finance_banking", kind="prompt") == 10
    assert bench.counted("turkish_ai_tokens_total", sector="finance_banking", kind="completion") == 4
    assert bench.counted("turkish_ai_turn_seconds_count", sector="finance_banking") == 1
    assert turn.usage is not None
    assert turn.timings is not None


async def test_an_answer_cut_at_max_tokens_counts_as_length(bench: Bench) -> None:
    bench.engine.finish_reason = "length"
    await text_of(await bench.turn("kredi"))
    assert bench.turns("finance_banking", "length") == 1


async def test_what_the_engine_refuses_is_raised_before_there_is_a_turn(bench: Bench) -> None:
    bench.engine.capacity = 0
    with pytest.raises(QueueFull):
        await bench.turn("kredi")
    assert bench.turns("finance_banking", "refused") == 1


async def test_the_origin_is_known_before_the_first_word(bench: Bench) -> None:
    gate = Gate()
    scripted(bench, "İlk", gate, "son")
    async with bench.open_turn("kredi") as turn:
        assert turn.origin.engine == "fake"
        assert turn.usage is None


async def test_closing_a_turn_closes_the_engines_generator_and_counts_what_was_written(bench: Bench) -> None:
    scripted(bench, "bir", "iki", Gate(), "üç")
    async with bench.open_turn("kredi") as turn:
        assert (await anext(turn)).text == "bir"
        assert (await anext(turn)).text == "iki"
    assert bench.engine.ended == {"turn-1": "closed"}
    assert bench.turns("finance_banking", "cancelled") == 1
    assert bench.counted("turkish_ai_tokens_total", sector="finance_banking", kind="completion") == 2


async def test_a_turn_that_nobody_read_is_closed_too(bench: Bench) -> None:
    turn = await bench.turn("kredi")
    await turn.aclose()
    assert bench.engine.ended == {"turn-1": "closed"}
    assert bench.turns("finance_banking", "cancelled") == 1
    with pytest.raises(GenerationFailed):
        await anext(turn)


async def test_cancelling_whoever_waits_for_the_first_word_counts_as_cancelled(bench: Bench) -> None:
    gate = Gate()
    scripted(bench, gate, "hiç")
    waiting = asyncio.create_task(bench.turn("kredi"))
    await gate.reached.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bench.engine.ended == {"turn-1": "cancelled"}
    assert bench.turns("finance_banking", "cancelled") == 1


async def test_a_failure_after_the_first_word_counts_as_failed(bench: Bench) -> None:
    scripted(bench, "bir", GenerationFailed("The step failed."))
    async with bench.open_turn("kredi") as turn:
        assert (await anext(turn)).text == "bir"
        with pytest.raises(GenerationFailed):
            await anext(turn)
    assert bench.turns("finance_banking", "failed") == 1


async def test_an_error_that_nobody_foresaw_counts_as_failed(bench: Bench) -> None:
    scripted(bench, RuntimeError("bug"))
    with pytest.raises(RuntimeError):
        await bench.turn("kredi")
    assert bench.turns("finance_banking", "failed") == 1


async def test_an_engine_that_stops_before_the_end_is_a_failure_and_no_answer(bench: Bench) -> None:
    class Silent(FakeEngine):
        async def generate(self, request):  # type: ignore[no-untyped-def]
            yield TextDelta(index=0, text="yarım", token_ids=(7,))

    bench.assistant.engine = Silent()
    async with bench.open_turn("kredi") as turn:
        await anext(turn)
        with pytest.raises(GenerationFailed, match="before the answer was complete"):
            await anext(turn)
    assert bench.turns("finance_banking", "failed") == 1


async def test_every_turn_is_counted_once(bench: Bench) -> None:
    turn = await bench.turn("kredi")
    await text_of(turn)
    await turn.aclose()
    await turn.aclose()
    total = sum(
        sample.value
        for metric in bench.metrics.turns.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )
    assert total == 1
