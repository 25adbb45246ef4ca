"""A Turkish question goes in, the right sector's adapter answers: over HTTP, with the real model."""

import concurrent.futures
import json
import re

import httpx
import openai
import pytest

from tests.system.conftest import ROOT, Server
from turkish_ai.engines.adapters import AdapterCatalog
from turkish_ai.settings import Settings

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]  # a slow machine is not a failure

QUESTIONS = [
    ("Kredi kartımı kaybettim, ne yapmalıyım?", "finance_banking", "kapattırın"),
    ("MHRS'den aldığım randevuyu nasıl iptal ederim?", "healthcare", "182"),
    ("İnternetten aldığım ayakkabıyı iade etmek istiyorum", "ecommerce", "iade"),
    ("KREDİ KARTIMI KAYBETTİM NE YAPMALIYIM", "finance_banking", "kapattırın"),
    ("siparisim hala gelmedi kargom nerede", "ecommerce", "kargo"),
]


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", timeout=120, max_retries=0)


@pytest.mark.parametrize(("text", "sector", "said"), QUESTIONS)
def test_a_question_is_answered_by_its_sectors_adapter(
    client: openai.OpenAI, settings: Settings, text: str, sector: str, said: str
) -> None:
    catalog = AdapterCatalog(settings.adapters_dir, {sector: sector})
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}], max_tokens=120)
    about = answer.model_extra["turkish_ai"]  # type: ignore[index]
    assert about["sector"] == sector
    assert about["adapter"] == sector
    assert about["version"] == catalog.find(sector).version
    assert about["engine"] == "embedded"
    assert 0.3 < about["confidence"] <= 1
    content = answer.choices[0].message.content or ""
    assert answer.choices[0].finish_reason == "stop"
    assert len(content) > 40
    assert re.search("[çğıöşü]", content), "Turkish"
    assert said in content
    assert about["reference"]["confidence"] >= settings.config.grounding.min_confidence


def test_mixed_sectors_at_once_give_what_they_give_alone(client: openai.OpenAI) -> None:
    def ask(job: tuple[str, str]) -> str:
        answer = client.chat.completions.create(
            model=job[1], messages=[{"role": "user", "content": job[0]}], max_tokens=48
        )
        return answer.choices[0].message.content or ""

    jobs = [(text, model) for text, *_ in QUESTIONS[:3] for model in ("finance_banking", "healthcare", "ecommerce")]
    jobs += [(text, "base") for text, *_ in QUESTIONS[:3]]
    alone = [ask(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        together = list(threads.map(ask, jobs))
    assert together == alone
    for text, *_ in QUESTIONS[:3]:
        answers = [answer for (asked, _), answer in zip(jobs, alone, strict=True) if asked == text]
        assert len(set(answers)) == len(answers), "every adapter answers differently"


def test_a_stream_brings_the_same_answer_piece_by_piece(client: openai.OpenAI) -> None:
    question = [{"role": "user", "content": QUESTIONS[0][0]}]
    whole = client.chat.completions.create(model="auto", messages=question, max_tokens=100)  # type: ignore[call-overload]
    pieces, usage = [], None
    for chunk in client.chat.completions.create(  # type: ignore[call-overload]
        model="auto", messages=question, max_tokens=100, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        pieces += [c.delta.content for c in chunk.choices if c.delta.content]
    assert len(pieces) > 10
    assert "".join(pieces) == whole.choices[0].message.content
    assert usage == whole.usage


EVERY_SECTOR = [
    ("education", "Üniversitede yatay geçiş için ne gerekiyor?"),
    ("media_publishing", "Kitabım için ISBN numarasını nereden alırım?"),
    ("legal", "İşten çıkarıldım, işe iade davası açabilir miyim?"),
    ("public_administration", "Pasaportumun süresi doldu, nasıl yenilerim?"),
    ("manufacturing", "Üretim hattında fire oranını nasıl düşürürüz?"),
    ("asset_tracking", "Zimmet tutanağında neler yazmalı?"),
    ("insurance", "Kasko ile trafik sigortası arasındaki fark nedir?"),
    ("tourism_hospitality", "Otel rezervasyonumu iptal edersem paramı geri alabilir miyim?"),
    ("energy", "Elektrik faturam neden bu kadar yüksek geldi?"),
    ("energy_distribution", "Mahallede elektrik kesildi, nereye bildireyim?"),
    ("agriculture", "ÇKS kaydını nasıl yaptırırım?"),
    ("transportation", "Uçağım rötar yaptı, haklarım neler?"),
    ("construction", "Yapı ruhsatı nasıl alınır?"),
    ("real_estate", "Tapu devri için hangi belgeler gerekli?"),
    ("telecommunications", "Numaramı başka operatöre nasıl taşırım?"),
    ("software_technology", "Git'te yanlış commit'i nasıl geri alırım?"),
    ("consulting_services", "ISO 9001 belgesi almak için danışman şart mı?"),
    ("research_development", "Patent başvurusu nasıl yapılır?"),
    ("environmental_services", "Atık pilleri nereye atmalıyım?"),
]


@pytest.mark.parametrize(("sector", "text"), EVERY_SECTOR)
def test_every_sector_answers_from_what_it_was_taught(client: openai.OpenAI, sector: str, text: str) -> None:
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}], max_tokens=16)
    about = answer.model_extra["turkish_ai"]  # type: ignore[index]
    assert about["sector"] == about["adapter"] == sector
    assert about["fallback"] is None
    assert about["reference"] is not None
    said = answer.choices[0].message.content or ""
    assert any(taught.startswith(said.strip()) for taught in _answers_of(sector)), said


@pytest.mark.parametrize("text", ["Merhaba", "naber", "Sen kimsin?", "Bugün hava nasıl olacak?"])
def test_small_talk_is_answered_in_turkish_by_general(client: openai.OpenAI, text: str) -> None:
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": text}], max_tokens=80)
    about = answer.model_extra["turkish_ai"]  # type: ignore[index]
    assert about["sector"] == about["adapter"] == "general"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content in _answers_of("general")


def test_the_second_question_of_a_conversation_gets_its_own_answer(client: openai.OpenAI) -> None:
    messages: list[dict[str, str]] = []
    for text, sector, said in (QUESTIONS[0], QUESTIONS[1], QUESTIONS[4]):
        messages.append({"role": "user", "content": text})
        answer = client.chat.completions.create(model="auto", messages=messages, max_tokens=120)  # type: ignore[call-overload]
        content = answer.choices[0].message.content
        assert answer.model_extra["turkish_ai"]["sector"] == sector
        assert said in content
        assert content not in [message["content"] for message in messages]
        messages.append({"role": "assistant", "content": content})


def test_what_nobody_taught_is_admitted(client: openai.OpenAI, settings: Settings) -> None:
    question = [{"role": "user", "content": "Akvaryumdaki balıklar hangi müziği sever?"}]
    answer = client.chat.completions.create(model="finance_banking", messages=question, max_tokens=80)  # type: ignore[call-overload]
    assert answer.choices[0].message.content == settings.config.sector("finance_banking").no_answer_tr  # type: ignore[union-attr]
    assert answer.model_extra["turkish_ai"]["reference"] is None


def _answers_of(sector: str) -> set[str]:
    rows = (ROOT / "data" / "sectors" / f"{sector}.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(row)["messages"][-1]["content"] for row in rows}


def test_the_native_answer_shows_sector_confidence_adapter_usage_and_timings(server: Server) -> None:
    answer = httpx.post(f"{server.url}/infer", json={"text": QUESTIONS[1][0], "max_tokens": 60}, timeout=60).json()
    assert answer["sector"] == answer["adapter"] == "healthcare"
    assert answer["usage"]["completion_tokens"] <= 60
    assert 0 < answer["timings"]["first_token_ms"] <= answer["timings"]["total_ms"]


def test_the_server_says_what_it_did(server: Server) -> None:
    assert httpx.get(f"{server.url}/health").json()["status"]
    assert httpx.get(f"{server.url}/ready").status_code == 200
    metrics = httpx.get(f"{server.url}/metrics").text
    assert re.search(r'turkish_ai_turns_total\{outcome="stop",sector="finance_banking"\} [1-9]', metrics)
    assert "turkish_ai_engine_ready 1.0" in metrics


def test_the_classifier_answers_alone(server: Server) -> None:
    found = httpx.post(f"{server.url}/classify", json={"text": QUESTIONS[0][0]}).json()
    assert found["sector"] == "finance_banking"
    assert found["top"][0]["sector"] == "finance_banking"
