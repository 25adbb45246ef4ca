"""New rows in a sector's data are answered by the adapter that is there, without training it."""

import asyncio
import json
import shutil
from contextlib import aclosing
from pathlib import Path

import pytest

from turkish_ai.app import build_engine
from turkish_ai.base_model import SilentProgress
from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.grounding import as_message, question_banks
from turkish_ai.messages import GenerationRequest, Message, Sampling
from turkish_ai.metrics import Metrics
from turkish_ai.settings import SECTOR_IDS, Settings

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]  # a slow machine is not a failure

ANSWER = (
    "Şubemizdeki bisiklet parkını mesai saatlerinde ücretsiz kullanabilirsiniz; anahtarı güvenlik görevlisinden "
    "kimliğinizi bırakarak alırsınız."
)
WORDINGS = (
    "Şubeye bisikletle gelsem nereye bırakırım?",
    "bisiklet park yeri var mi subede",
    "Bisikletimi bağlayacak yer bulunur mu bankada?",
    "Bisikletle geldim, park edebilir miyim?",
    "Banka şubesinde bisiklet parkı ücretli mi?",
    "bisikletimi koyacak yer lazım",
)


def test_a_new_answer_is_given_after_a_restart(settings: Settings, base_model: Path, tmp_path: Path) -> None:
    shutil.copytree(settings.sector_data_dir, tmp_path / "data" / "sectors")
    file = tmp_path / "data" / "sectors" / "finance_banking.jsonl"
    with file.open("a", encoding="utf-8") as opened:
        for number, text in enumerate(WORDINGS):
            row = {
                "id": f"new-{number}",
                "sector": "finance_banking",
                "family": "bisiklet-parki",
                "style": "plain",
                "split": "train",
                "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": ANSWER}],
                "provenance": "test",
            }
            opened.write(json.dumps(row, ensure_ascii=False) + "\n")
    taught = settings.model_copy(update={"root": tmp_path})
    asked = "Bisikletimi şubede güvenle bırakabileceğim bir alan var mı?"
    reference = question_banks(taught).find("finance_banking", asked)
    assert reference is not None
    assert reference.family == "bisiklet-parki"
    assert asyncio.run(_answer(settings, asked, reference.answer)) == ANSWER


async def _answer(settings: Settings, asked: str, told: str) -> str:
    adapter = AdapterCatalog(settings.adapters_dir, settings.config.adapter_folders).find("finance_banking")
    assert adapter.grounded
    engine = build_engine(settings, metrics=Metrics(sectors=SECTOR_IDS), progress=SilentProgress())
    await engine.start()
    try:
        request = GenerationRequest(
            request_id="new",
            messages=(as_message(told), Message(role="user", content=asked)),
            sampling=Sampling(max_tokens=80),
            adapter=adapter,
        )
        async with aclosing(engine.generate(request)) as stream:
            return "".join([delta.text async for delta in stream])
    finally:
        await engine.stop(drain_s=0)
