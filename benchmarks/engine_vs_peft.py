"""Tokens per second and time to first token: the embedded engine beside PEFT, in one interleaved run.

    python benchmarks/engine_vs_peft.py [--rounds 3] [--tokens 48] [--output benchmarks/results/engine_vs_peft.json]

Three ways to answer the same questions with the same three adapters, greedy, at float32, one after the other in every
round so that a noisy machine disturbs all of them: this project's engine; PEFT with `set_adapter`, one request at a
time; PEFT with `adapter_names`, all requests in one padded batch. Read the ratios; the absolute figures are this
machine's.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from turkish_ai.base_model import BaseModelSource, ensure_base_model, progress_for
from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.engines.embedded import EmbeddedEngine
from turkish_ai.messages import AdapterRef, GenerationRequest, Message, Sampling
from turkish_ai.metrics import Metrics
from turkish_ai.prompts import PromptEncoder
from turkish_ai.settings import SECTOR_IDS, Settings, load_settings

SECTORS = ("finance_banking", "healthcare", "ecommerce")
CONCURRENCY = (1, 16)


def questions(settings: Settings, count: int) -> list[tuple[str, str]]:
    """`count` (sector, question) pairs, the sectors in turn; questions of the test part."""
    pools = {}
    for sector in SECTORS:
        lines = (settings.sector_data_dir / f"{sector}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        pools[sector] = [row["messages"][0]["content"] for row in rows if row["split"] == "test"]
    return [(SECTORS[i % 3], pools[SECTORS[i % 3]][i // 3]) for i in range(count)]


class Peft:
    """PEFT's own model with the three adapters."""

    def __init__(self, base: Path, encoder: PromptEncoder, adapters: dict[str, AdapterRef]) -> None:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        first, *others = adapters.items()
        self._peft: Any = PeftModel.from_pretrained(model, first[1].path, adapter_name=first[0])
        for name, ref in others:
            self._peft.load_adapter(ref.path, adapter_name=name)
        self._peft.eval()
        self._encoder = encoder
        self._pad = AutoTokenizer.from_pretrained(base).pad_token_id or 0

    def _generate(self, asked: list[tuple[str, str]], tokens: int, **more: object) -> None:
        prompts = [self._encoder.encode([Message(role="user", content=text)]) for _, text in asked]
        width = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with torch.inference_mode():
            self._peft.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                **more,
            )

    def one_by_one(self, asked: list[tuple[str, str]], tokens: int) -> None:
        for question in asked:
            self._peft.set_adapter(question[0])
            self._generate([question], tokens)

    def batched(self, asked: list[tuple[str, str]], tokens: int) -> None:
        self._generate(asked, tokens, adapter_names=[sector for sector, _ in asked])


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def measure(rounds: int, tokens: int) -> dict[str, Any]:
    settings = load_settings()
    base = ensure_base_model(
        BaseModelSource(source=settings.base_model, sha256=settings.base_model_sha256),
        cache_dir=settings.cache_dir,
        progress=progress_for(sys.stderr),
    )
    template = settings.chat_template_path
    text = template.read_text(encoding="utf-8") if template else None
    catalog = AdapterCatalog(settings.adapters_dir, {sector: sector for sector in SECTORS})
    adapters = {sector: catalog.find(sector) for sector in SECTORS}
    started = time.perf_counter()
    engine = EmbeddedEngine(
        model_dir=base, config=settings.config, chat_template=text, metrics=Metrics(sectors=SECTOR_IDS)
    )
    await engine.start()
    for ref in adapters.values():
        await engine.load(ref)
    load_s = time.perf_counter() - started
    own_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    encoder = PromptEncoder(
        base, chat_template=text, stop_tokens=settings.config.tokenizer.stop_tokens, system_prompt=None
    )
    peft = Peft(base, encoder, adapters)
    loop = asyncio.get_running_loop()

    async def ask(sector: str, question: str, wanted: int) -> float:
        request = GenerationRequest(
            request_id="",
            messages=(Message(role="user", content=question),),
            sampling=Sampling(max_tokens=wanted, ignore_eos=True),
            adapter=adapters[sector],
        )
        began = time.perf_counter()
        first = 0.0
        async for delta in engine.generate(request):
            if delta.token_ids and not first:
                first = time.perf_counter() - began
        return first

    async def ours(asked: list[tuple[str, str]], wanted: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(ask(sector, question, wanted) for sector, question in asked))
        return time.perf_counter() - began

    results: list[dict[str, Any]] = []
    for round_number in range(rounds):
        for concurrency in CONCURRENCY:
            asked = questions(settings, concurrency)
            row: dict[str, Any] = {"round": round_number, "concurrency": concurrency}
            row["engine_s"] = await ours(asked, tokens)
            row["peft_adapter_names_s"] = await loop.run_in_executor(
                None, timed, lambda a=asked: peft.batched(a, tokens)
            )
            if concurrency == 1 or round_number == 0:  # it takes minutes, and its speed is the same for any number
                row["peft_set_adapter_s"] = await loop.run_in_executor(
                    None, timed, lambda a=asked: peft.one_by_one(a, tokens)
                )
            if concurrency == 1:
                row["engine_first_token_s"] = await ask(*asked[0], 2)
                row["peft_first_token_s"] = await loop.run_in_executor(
                    None, timed, lambda a=asked: peft.one_by_one(a, 1)
                )
            print(json.dumps(row), flush=True)
            results.append(row)
    await engine.stop(drain_s=0)
    return {
        "command": f"python benchmarks/engine_vs_peft.py --rounds {rounds} --tokens {tokens}",
        "machine": f"{os.cpu_count()} x {platform.machine()}, torch {torch.__version__}",
        "tokens_per_answer": tokens,
        "engine_load_s": round(load_s, 2),
        "engine_peak_memory_mib": round(own_memory),
        "rounds": results,
        "summary": summary(results, tokens),
    }


def summary(rows: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    """Medians: tokens per second, and how many times PEFT's speed the engine has in the same round."""
    found: dict[str, Any] = {}
    for concurrency in CONCURRENCY:
        mine = [row for row in rows if row["concurrency"] == concurrency]
        entry: dict[str, Any] = {}
        for key in ("engine", "peft_adapter_names", "peft_set_adapter"):
            times = [row[f"{key}_s"] for row in mine if f"{key}_s" in row]
            entry[f"{key}_tokens_per_s"] = round(concurrency * tokens / statistics.median(times), 1)
        for key in ("peft_adapter_names", "peft_set_adapter"):
            ratios = [row[f"{key}_s"] / row["engine_s"] for row in mine if f"{key}_s" in row]
            entry[f"times_{key}"] = round(statistics.median(ratios), 2)
        if concurrency == 1:
            for key in ("engine", "peft"):
                entry[f"{key}_first_token_s"] = round(statistics.median(row[f"{key}_first_token_s"] for row in mine), 3)
        found[str(concurrency)] = entry
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    result = asyncio.run(measure(options.rounds, options.tokens))
    print(json.dumps(result["summary"], indent=2))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
