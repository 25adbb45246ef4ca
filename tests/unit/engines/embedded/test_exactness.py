"""The engine against PEFT itself: same greedy tokens, for every family, alone and in any company."""

import asyncio
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.fakes.tiny_models import CHAT_TEMPLATE
from tests.unit.engines.embedded.asking import Collected, ask, question
from tests.unit.engines.embedded.conftest import EngineMaker, TinyWorld
from turkish_ai.messages import AdapterRef, Message
from turkish_ai.prompts import PromptEncoder

_NEW_TOKENS = 24
_QUESTIONS = (
    "Kartımı kaybettim, ne yapmalıyım?",
    "Randevumu nasıl iptal ederim? " * 6,  # several chunks, beyond the sliding window
    "x",
    "SİPARİŞİM HÂLÂ GELMEDİ 😀",
)


def peft_answers(base: Path, jobs: list[tuple[str, AdapterRef | None]]) -> list[list[int]]:
    """One request at a time, with `set_adapter`, through PEFT's and transformers' own code."""
    encoder = PromptEncoder(base, chat_template=CHAT_TEMPLATE, stop_tokens=(), system_prompt=None)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapters = {adapter.sha256: adapter for _, adapter in jobs if adapter}
    first = next(iter(adapters.values()))
    peft = PeftModel.from_pretrained(model, first.path, adapter_name=first.sha256)
    for sha256, adapter in adapters.items():
        if sha256 != first.sha256:
            peft.load_adapter(adapter.path, adapter_name=sha256)
    peft.eval()
    answers = []
    for text, adapter in jobs:
        ids = torch.tensor([encoder.encode([Message(role="user", content=text)])])
        settings = {
            "max_new_tokens": _NEW_TOKENS,
            "min_new_tokens": _NEW_TOKENS,
            "do_sample": False,
            "attention_mask": torch.ones_like(ids),
        }
        with torch.inference_mode():
            if adapter is None:
                with peft.disable_adapter():
                    out = peft.generate(input_ids=ids, **settings)
            else:
                peft.set_adapter(adapter.sha256)
                out = peft.generate(input_ids=ids, **settings)
        answers.append(out[0, ids.shape[1] :].tolist())
    return answers


def jobs_of(world: TinyWorld) -> list[tuple[str, AdapterRef | None]]:
    choices: list[AdapterRef | None] = [*world.adapters, None]
    return [(text, choices[(i + j) % len(choices)]) for i, text in enumerate(_QUESTIONS) for j in range(len(choices))]


async def test_a_mixed_batch_gives_the_tokens_of_peft_one_request_at_a_time(
    world: TinyWorld, engine_for: EngineMaker
) -> None:
    jobs = jobs_of(world)
    expected = peft_answers(world.base, jobs)
    async with engine_for(world.base, max_batch=7) as engine:
        answers = await asyncio.gather(
            *(
                ask(engine, question(text, adapter=adapter, max_tokens=_NEW_TOKENS, ignore_eos=True))
                for text, adapter in jobs
            )
        )
    assert len({tuple(tokens) for tokens in expected}) > len(jobs) // 2, "the adapters must make a difference"
    assert [answer.tokens for answer in answers] == expected


async def test_logprobs_are_equal_to_the_bit_alone_and_in_company(world: TinyWorld, engine_for: EngineMaker) -> None:
    jobs = jobs_of(world)[:10]

    def asked(text: str, adapter: AdapterRef | None) -> "asyncio.Task[Collected]":
        request = question(text, adapter=adapter, max_tokens=12, top_logprobs=3, ignore_eos=True)
        return asyncio.ensure_future(ask(engine, request))

    async with engine_for(world.base, max_batch=8) as engine:
        alone = [await asked(*job) for job in jobs]
        together = await asyncio.gather(*(asked(*job) for job in reversed(jobs)))
    for lonely, social in zip(alone, reversed(together), strict=True):
        assert [d.logprobs for d in lonely.deltas] == [d.logprobs for d in social.deltas]


async def test_tokens_do_not_change_while_adapters_come_and_go_around_a_request(
    world: TinyWorld, engine_for: EngineMaker
) -> None:
    async with engine_for(world.base, max_batch=6, max_resident_adapters=3) as engine:
        watched = question(_QUESTIONS[0], adapter=world.adapters[1], max_tokens=120, ignore_eos=True)
        alone = await ask(engine, watched)

        async def churn() -> None:
            for turn in range(40):
                adapter = world.adapters[(turn * 2) % 5]
                await ask(engine, question(f"{turn}", adapter=adapter, max_tokens=2, ignore_eos=True))
                if adapter.sha256 != watched.adapter.sha256:  # type: ignore[union-attr]
                    await engine.unload(adapter.sha256)

        in_company, _ = await asyncio.gather(ask(engine, watched), churn())
    assert in_company.tokens == alone.tokens
