"""`/v1/models`."""

from pathlib import Path

import httpx

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from tests.unit.api.conftest import open_client, write_adapter
from turkish_ai.app import create_app
from turkish_ai.errors import AdapterRefused
from turkish_ai.settings import SECTOR_IDS, Settings


async def test_every_model_is_listed_with_root_and_parent(client: httpx.AsyncClient) -> None:
    models = {card["id"]: card for card in (await client.get("/v1/models")).json()["data"]}
    assert list(models)[:3] == ["auto", "base", "general"]
    assert set(models) == {"auto", "base", "general", *SECTOR_IDS}
    sector = models["finance_banking"]
    assert (sector["parent"], sector["turkish_ai"]) == ("base", {"available": True})
    assert sector["root"].startswith("finance_banking@")
    assert (models["base"]["root"], models["base"]["parent"]) == ("gemma-3-270m", None)
    assert models["auto"]["turkish_ai"] == models["base"]["turkish_ai"] == {"available": True}
    assert (models["legal"]["root"], models["legal"]["turkish_ai"]) == (None, {"available": False})
    assert all(card["object"] == "model" and card["created"] > 0 for card in models.values())


async def test_an_adapter_that_arrives_is_available_from_then_on(client: httpx.AsyncClient, adapters_dir: Path) -> None:
    assert (await client.get("/v1/models/healthcare")).json()["turkish_ai"] == {"available": False}
    write_adapter(adapters_dir / "healthcare", "others")
    assert (await client.get("/v1/models/healthcare")).json()["turkish_ai"] == {"available": True}


async def test_an_adapter_that_the_engine_refuses_is_not_available(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: truncated.")
    assert (await client.post("/infer", json={"text": "kredi"})).status_code == 503
    assert (await client.get("/v1/models/finance_banking")).json()["turkish_ai"] == {"available": False}


async def test_general_is_available_where_the_base_model_answers_for_it(
    settings: Settings, engine: FakeEngine, router: FakeRouter
) -> None:
    plain = settings.config.model_copy(update={"general": settings.config.general.model_copy(update={"adapter": None})})
    app = create_app(settings.model_copy(update={"config": plain}), engine=engine, router=router)
    async with open_client(app) as client:
        card = (await client.get("/v1/models/general")).json()
    assert (card["root"], card["turkish_ai"]) == ("gemma-3-270m", {"available": True})


async def test_a_model_is_found_by_its_name_and_by_its_version(client: httpx.AsyncClient) -> None:
    card = (await client.get("/v1/models/finance_banking")).json()
    assert (await client.get(f"/v1/models/{card['root']}")).json() == card


async def test_a_model_that_is_not_served_is_a_404(client: httpx.AsyncClient) -> None:
    for model in ("gpt-4o", "astrology", "finance_banking@000000000000"):
        response = await client.get(f"/v1/models/{model}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
