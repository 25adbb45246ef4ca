"""The default model and the trained adapters: the engine's greedy tokens are PEFT's."""

import asyncio
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.engines.embedded import EmbeddedEngine
from turkish_ai.messages import AdapterRef, GenerationRequest, Message, Sampling
from turkish_ai.metrics import Metrics
from turkish_ai.prompts import PromptEncoder
from turkish_ai.settings import SECTOR_IDS, Settings

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]  # a slow machine is not a failure

SECTORS = ("finance_banking", "healthcare", "ecommerce")
_NEW_TOKENS = 24


def jobs(settings: Settings, adapters: dict[str, AdapterRef]) -> list[tuple[str, AdapterRef | None]]:
    found: list[tuple[str, AdapterRef | None]] = []
    for sector in SECTORS:
        rows = map(json.loads, _lines(settings, sector))
        texts = [row["messages"][0]["content"] for row in rows if row["split"] == "test"][:3]
        found += [(texts[0], adapters[sector]), (texts[1], adapters[sector]), (texts[2], None)]
    # Beyond several chunks of a prompt (128 tokens) and beyond the sliding window (512).
    long = " ".join(row["messages"][0]["content"] for row in map(json.loads, _lines(settings, "ecommerce")))[:2600]
    return [*found, (long, adapters["ecommerce"]), (long, None)]


def _lines(settings: Settings, sector: str) -> list[str]:
    return (settings.sector_data_dir / f"{sector}.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_mixed_batch_of_trained_adapters_gives_the_tokens_of_peft(settings: Settings, base_model: Path) -> None:
    catalog = AdapterCatalog(settings.adapters_dir, {sector: sector for sector in SECTORS})
    adapters = {sector: catalog.find(sector) for sector in SECTORS}
    asked = jobs(settings, adapters)
    assert settings.chat_template_path is not None
    template = settings.chat_template_path.read_text(encoding="utf-8")
    ours = asyncio.run(_engine_tokens(settings, base_model, template, asked))
    theirs = _peft_tokens(settings, base_model, template, adapters, asked)
    assert ours == theirs


async def _engine_tokens(
    settings: Settings, base: Path, template: str, asked: list[tuple[str, AdapterRef | None]]
) -> list[list[int]]:
    engine = EmbeddedEngine(
        model_dir=base, config=settings.config, chat_template=template, metrics=Metrics(sectors=SECTOR_IDS)
    )
    await engine.start()

    async def ask(text: str, adapter: AdapterRef | None) -> list[int]:
        request = GenerationRequest(
            request_id=text[:40],
            messages=(Message(role="user", content=text),),
            sampling=Sampling(max_tokens=_NEW_TOKENS, ignore_eos=True),
            adapter=adapter,
        )
        return [token async for delta in engine.generate(request) for token in delta.token_ids]

    try:
        return list(await asyncio.gather(*(ask(text, adapter) for text, adapter in asked)))
    finally:
        await engine.stop(drain_s=0)


def _peft_tokens(
    settings: Settings,
    base: Path,
    template: str,
    adapters: dict[str, AdapterRef],
    asked: list[tuple[str, AdapterRef | None]],
) -> list[list[int]]:
    encoder = PromptEncoder(
        base, chat_template=template, stop_tokens=settings.config.tokenizer.stop_tokens, system_prompt=None
    )
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    first, *others = adapters.items()
    peft = PeftModel.from_pretrained(model, first[1].path, adapter_name=first[0])
    for name, ref in others:
        peft.load_adapter(ref.path, adapter_name=name)
    peft.eval()
    found = []
    for text, adapter in asked:
        ids = torch.tensor([encoder.encode([Message(role="user", content=text)])])
        settings_ = {
            "max_new_tokens": _NEW_TOKENS,
            "min_new_tokens": _NEW_TOKENS,
            "do_sample": False,
            "eos_token_id": None,
        }
        with torch.inference_mode():
            if adapter is None:
                with peft.disable_adapter():
                    out = peft.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings_)
            else:
                peft.set_adapter(adapter.name)
                out = peft.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **settings_)
        found.append(out[0, ids.shape[1] :].tolist())
    return found
