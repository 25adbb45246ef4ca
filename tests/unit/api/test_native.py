"""`/infer`, `/classify` and `/sectors`."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.engine import FakeEngine
from tests.unit.api.conftest import write_adapter
from turkish_ai.errors import ContextLengthExceeded
from turkish_ai.messages import Message
from turkish_ai.settings import SECTOR_IDS


async def test_infer_answers_one_question_with_everything_about_it(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    response = await client.post("/infer", json={"text": "kredi notum?", "max_tokens": 9, "temperature": 0.5})
    body = response.json()
    assert response.status_code == 200
    assert body["text"] == "Merhaba, dünya."
    assert (body["sector"], body["sector_name"], body["confidence"]) == (
        "finance_banking",
        "Finans ve Bankacılık",
        0.8125,
    )
    assert (body["adapter"], body["engine"], body["finish_reason"]) == ("finance_banking", "fake", "stop")
    assert body["model"] == f"finance_banking@{body['version']}"
    assert body["usage"]["total_tokens"] == 14
    assert body["timings"] == {
        "queued_ms": 1.0,
        "first_token_ms": 20.0,
        "total_ms": 50.0,
        "routing_ms": body["timings"]["routing_ms"],
    }
    assert body["timings"]["routing_ms"] > 0
    assert body["fallback"] is None
    assert response.headers["x-turkish-ai-sector"] == "finance_banking"
    assert engine.requests[0].messages == (Message(role="user", content="kredi notum?"),)
    assert (engine.requests[0].sampling.max_tokens, engine.requests[0].sampling.temperature) == (9, 0.5)


@pytest.mark.parametrize(("sector", "answered_by"), [("finance_banking", "finance_banking"), ("general", "general")])
async def test_infer_takes_the_sector_that_is_named(
    client: httpx.AsyncClient, adapters_dir: Path, sector: str, answered_by: str
) -> None:
    write_adapter(adapters_dir / "general")
    body = (await client.post("/infer", json={"text": "dava", "sector": sector})).json()
    assert body["sector"] == answered_by
    assert body["top"] == []


WRONG: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("/infer", {"text": ""}, 400, "invalid_request", "text"),
    ("/infer", {"text": " \n"}, 400, "invalid_request", "text"),
    ("/infer", {}, 400, "invalid_request", "text"),
    ("/infer", {"text": 5}, 400, "invalid_request", "text"),
    ("/infer", {"text": "x", "stream": True}, 400, "unknown_parameter", "stream"),
    ("/infer", {"text": "x", "temperature": 9}, 422, "value_out_of_range", "temperature"),
    ("/infer", {"text": "x", "max_tokens": 9999}, 422, "value_out_of_range", "max_tokens"),
    ("/infer", {"text": "x", "sector": "astrology"}, 404, "sector_not_found", "sector"),
    ("/infer", {"text": "x", "sector": "legal"}, 404, "adapter_not_found", "sector"),
    ("/infer", {"text": "x", "sector": "finance_banking@1"}, 404, "model_not_found", "sector"),
    ("/classify", {"text": ""}, 400, "invalid_request", "text"),
    ("/classify", {"text": "x", "sector": "legal"}, 400, "unknown_parameter", "sector"),
    ("/classify", {"text": "x", "evidence": "yes"}, 400, "invalid_request", "evidence"),
]


@pytest.mark.parametrize(("path", "body", "status", "code", "param"), WRONG)
async def test_a_wrong_native_request_is_refused_by_field(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    response = await client.post(path, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)


async def test_infer_refuses_in_its_own_words(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    error = (await client.post("/infer", json={"text": "x", "sector": "legal"})).json()["error"]
    assert "Leave sector out" in error["message"]
    assert "model" not in error["message"]
    engine.script = (ContextLengthExceeded("9000 tokens.", remedy="Shorten the conversation.", param="messages"),)
    error = (await client.post("/infer", json={"text": "x"})).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "text")
    assert "conversation" not in error["message"]


async def test_a_fallback_names_the_sector_that_was_found_and_the_confidence_in_it(client: httpx.AsyncClient) -> None:
    response = await client.post("/infer", json={"text": "dava açacağım"})
    body = response.json()
    assert body["sector"] == response.headers["x-turkish-ai-sector"] == "general"
    assert (body["fallback"]["sector"], body["fallback"]["confidence"]) == ("legal", 0.8125)
    assert response.headers["x-turkish-ai-fallback"] == "legal"
    own = await client.post("/infer", json={"text": "kredi"})
    assert "x-turkish-ai-fallback" not in own.headers


async def test_classify_finds_the_sector_and_answers_nothing(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    response = await client.post("/classify", json={"text": "dava açacağım"})
    assert response.json() == {
        "sector": "legal",
        "sector_name": "Hukuk",
        "confidence": 0.8125,
        "top": [{"sector": "legal", "confidence": 0.8125}, {"sector": "energy", "confidence": 0.1}],
    }
    assert engine.requests == []
    assert 'turkish_ai_router_choices_total{sector="legal"} 1.0' in (await client.get("/metrics")).text


async def test_classify_shows_what_decided_if_asked(client: httpx.AsyncClient) -> None:
    body = (await client.post("/classify", json={"text": "dava açacağım", "evidence": True})).json()
    assert body["evidence"] == ["dava"]


async def test_sectors_are_the_22_and_general_with_their_adapters(
    client: httpx.AsyncClient, adapters_dir: Path
) -> None:
    broken = adapters_dir / "ecommerce"
    broken.mkdir()
    sectors = {card["id"]: card for card in (await client.get("/sectors")).json()["sectors"]}
    assert set(sectors) == {*SECTOR_IDS, "general"}
    assert sectors["finance_banking"]["adapter"] is True
    assert len(sectors["finance_banking"]["version"]) == 12
    assert (sectors["legal"]["adapter"], sectors["legal"]["version"], sectors["legal"]["problem"]) == (
        False,
        None,
        None,
    )
    assert "adapter_config.json is missing" in sectors["ecommerce"]["problem"]
    assert sectors["healthcare"]["name_tr"] == "Sağlık"
    assert all(card["name_tr"] and card["name_en"] and card["description_tr"] for card in sectors.values())
    assert str(adapters_dir) not in (await client.get("/sectors")).text
