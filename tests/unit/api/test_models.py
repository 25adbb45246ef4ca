"""`/v1/models`."""

from pathlib import Path

import httpx

from tests.unit.api.conftest import write_adapter


async def test_what_can_be_served_is_listed_with_root_and_parent(client: httpx.AsyncClient) -> None:
    models = {card["id"]: card for card in (await client.get("/v1/models")).json()["data"]}
    assert set(models) == {"auto", "base", "finance_banking"}
    sector = models["finance_banking"]
    assert sector["parent"] == "base"
    assert sector["root"].startswith("finance_banking@")
    assert (models["base"]["root"], models["base"]["parent"]) == ("gemma-3-270m", None)
    assert all(card["object"] == "model" and card["created"] > 0 for card in models.values())


async def test_an_adapter_that_arrives_is_listed_from_then_on(client: httpx.AsyncClient, adapters_dir: Path) -> None:
    write_adapter(adapters_dir / "healthcare", "others")
    listed = [card["id"] for card in (await client.get("/v1/models")).json()["data"]]
    assert "healthcare" in listed


async def test_a_model_is_found_by_its_name_and_by_its_version(client: httpx.AsyncClient) -> None:
    card = (await client.get("/v1/models/finance_banking")).json()
    assert (await client.get(f"/v1/models/{card['root']}")).json() == card


async def test_a_model_that_is_not_served_is_a_404(client: httpx.AsyncClient) -> None:
    for model in ("legal", "gpt-4o", "finance_banking@000000000000"):
        response = await client.get(f"/v1/models/{model}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"
