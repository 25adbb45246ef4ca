"""The admin routes: who may call them, and what they do to a running server."""

import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from tests.unit.api.conftest import ADMIN, MakeSettings, chat, open_client, write_adapter
from turkish_ai.app import create_app
from turkish_ai.errors import AdapterRefused

LOAD = {"sector": "finance_banking"}


@pytest.fixture
async def locked(
    make_settings: MakeSettings, engine: FakeEngine, router: FakeRouter
) -> AsyncIterator[httpx.AsyncClient]:
    """A server with an admin key."""
    app = create_app(make_settings(admin_key="s3cret"), engine=engine, router=router)
    async with open_client(app, peer="203.0.113.9") as client:
        yield client


def card_of(response: httpx.Response, sector: str) -> dict[str, Any]:
    cards: list[dict[str, Any]] = response.json()["adapters"]
    return next(card for card in cards if card["sector"] == sector)


# --- who may --------------------------------------------------------------------------------------------------------


async def test_the_key_opens_from_anywhere(locked: httpx.AsyncClient) -> None:
    response = await locked.post("/adapters", json=LOAD, headers={"authorization": "Bearer s3cret"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer", "Bearer ", "Basic s3cret", "s3cret", "Bearer s3cret2", "Bearer ş".encode()],
)
async def test_without_the_key_an_admin_call_is_refused(locked: httpx.AsyncClient, authorization: Any) -> None:
    headers = {"authorization": authorization} if authorization is not None else {}
    for response in (
        await locked.post("/adapters", json=LOAD, headers=headers),
        await locked.delete("/adapters/finance_banking", headers=headers),
    ):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error"]["code"] == "admin_key_wrong"


async def test_a_refused_caller_learns_nothing_about_the_body(locked: httpx.AsyncClient) -> None:
    assert (await locked.post("/adapters", content=b"{")).status_code == 401


async def test_a_turkish_key_opens(client: httpx.AsyncClient) -> None:
    assert (await client.post("/adapters", json=LOAD, headers=ADMIN)).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"host": "127.0.0.1:8000", "x-forwarded-for": "127.0.0.1"}])
async def test_this_machine_has_no_authority_of_its_own(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """A proxy that adds no header looks like a local caller: its peer and its host are this machine."""
    response = await client.post("/adapters", json=LOAD, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "admin_key_wrong")
    assert "TURKISH_AI_ADMIN_KEY" in response.json()["error"]["message"]


async def test_a_page_of_another_site_is_refused_although_it_has_the_key(client: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1:9999", "null", "http://[broken"):
        response = await client.post("/adapters", json=LOAD, headers={**ADMIN, "origin": origin})
        assert (response.status_code, response.json()["error"]["code"]) == (403, "admin_cross_origin")
    own = await client.post("/adapters", json=LOAD, headers={**ADMIN, "origin": "http://127.0.0.1:8000"})
    assert own.status_code == 200


async def test_without_a_configured_key_the_server_makes_one_and_says_where(
    make_settings: MakeSettings, logs: list[Any], tmp_path: Path
) -> None:
    settings = make_settings(data_dir=tmp_path / "state")
    key_file = settings.data_dir / "admin_key"
    async with open_client(create_app(settings, engine=FakeEngine(), router=FakeRouter())) as client:
        assert (await client.post("/adapters", json=LOAD)).status_code == 401
        key = key_file.read_text().strip()
        loaded = await client.post("/adapters", json=LOAD, headers={"authorization": f"Bearer {key}"})
        assert loaded.status_code == 200
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert [line["key_file"] for line in logs if "key_file" in line] == [str(key_file)]
    assert key not in str(logs)


# --- what they do ---------------------------------------------------------------------------------------------------


async def test_adapters_are_loaded_at_start_and_listed(client: httpx.AsyncClient, adapters_dir: Path) -> None:
    response = await client.get("/adapters")
    card = card_of(response, "finance_banking")
    assert (card["resident"], card["pinned"], card["folder"], card["rank"]) == (True, False, "finance_banking", 8)
    assert len(card["sha256"]) == 64
    assert card_of(response, "legal")["error"]["code"] == "adapter_not_found"
    assert str(adapters_dir) not in response.text


async def test_an_adapter_can_be_pinned_and_unloaded(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    loaded = await client.post("/adapters", json={**LOAD, "pinned": True}, headers=ADMIN)
    assert (loaded.status_code, loaded.json()["pinned"], loaded.json()["resident"]) == (200, True, True)
    removed = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert removed.json() == {"sector": "finance_banking", "unloaded": [loaded.json()["version"]]}
    assert engine.adapters() == []
    again = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert (again.status_code, again.json()["error"]["code"]) == (404, "adapter_not_found")


async def test_an_adapter_in_use_stays(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.use(engine.adapters()[0].ref.sha256, users=1)
    response = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "adapter_in_use")
    assert response.headers["retry-after"] == "2"


async def test_a_sector_can_be_given_another_folder(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    write_adapter(adapters_dir / "drafts" / "legal-2", "new weights")
    loaded = await client.post("/adapters", json={"sector": "legal", "folder": "drafts/legal-2"}, headers=ADMIN)
    assert loaded.status_code == 200
    assert loaded.json()["folder"] == "drafts/legal-2"
    answer = await client.post("/v1/chat/completions", json=chat(model="legal"))
    assert answer.json()["turkish_ai"]["version"] == loaded.json()["version"]


async def test_a_folder_that_the_engine_refuses_does_not_take_the_sector(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    before = card_of(await client.get("/adapters"), "finance_banking")
    write_adapter(adapters_dir / "bad", "bad weights")
    engine.refused_adapters["bad"] = AdapterRefused("bad: rank 128; this server takes 1 to 64.")
    for sector in ("finance_banking", "legal"):
        response = await client.post("/adapters", json={"sector": sector, "folder": "bad"}, headers=ADMIN)
        assert (response.status_code, response.json()["error"]["code"]) == (422, "adapter_refused")
    after = await client.get("/adapters")
    assert card_of(after, "finance_banking") == before
    assert card_of(after, "legal")["folder"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sector": "astrology"}, 404, "sector_not_found"),
        ({"sector": "general"}, 404, "adapter_not_found"),
        ({"sector": "legal"}, 404, "adapter_not_found"),
        ({"sector": "legal", "folder": "nowhere"}, 404, "adapter_not_found"),
        ({"sector": "legal", "folder": "../.."}, 422, "adapter_refused"),
        ({"sector": "legal", "folder": "/etc"}, 422, "adapter_refused"),
        ({"sector": "legal", "folder": ""}, 422, "adapter_refused"),
        ({"sector": "legal", "path": "x"}, 400, "unknown_parameter"),
        ({"sector": "legal", "pinned": 1}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_load_is_refused(client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str) -> None:
    response = await client.post("/adapters", json=body, headers=ADMIN)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_unloading_an_unknown_sector_is_a_404(client: httpx.AsyncClient) -> None:
    for sector in ("astrology", "general", "..%2f.."):
        assert (await client.delete(f"/adapters/{sector}", headers=ADMIN)).status_code == 404


async def test_files_that_changed_since_are_unloaded_with_their_old_content(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    old = engine.adapters()[0].ref.version
    write_adapter(adapters_dir / "finance_banking", "trained again")
    removed = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert removed.json()["unloaded"] == [old]


# --- what is left in memory -----------------------------------------------------------------------------------------


async def load(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/adapters", json=body, headers=ADMIN)
    assert response.status_code == 200, response.text
    card: dict[str, Any] = response.json()
    return card


async def test_a_sector_that_gets_another_folder_gives_back_what_it_had(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    await load(client, **LOAD, pinned=True)
    write_adapter(adapters_dir / "canary", "new weights")
    card = await load(client, **LOAD, folder="canary", pinned=True)
    assert [(resident.ref.version, resident.pinned) for resident in engine.adapters()] == [(card["version"], True)]


async def test_what_a_sector_had_and_still_answers_with_is_unpinned_and_listed_until_it_is_taken_away(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    old = await load(client, **LOAD, pinned=True)
    engine.use(old["sha256"], users=1)
    write_adapter(adapters_dir / "canary", "new weights")
    new = await load(client, **LOAD, folder="canary")
    (left_over,) = [c for c in (await client.get("/adapters")).json()["adapters"] if c["sector"] is None]
    assert (left_over["version"], left_over["pinned"], left_over["users"]) == (old["version"], False, 1)
    assert left_over["loaded_for"] == "finance_banking"
    engine.use(old["sha256"], users=0)
    removed = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert removed.json()["unloaded"] == [old["version"], new["version"]]
    assert engine.adapters() == []


async def test_loading_a_folder_again_whose_files_changed_gives_back_the_old_content(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    await load(client, **LOAD, pinned=True)
    write_adapter(adapters_dir / "finance_banking", "trained again")
    card = await load(client, **LOAD)
    assert [resident.ref.version for resident in engine.adapters()] == [card["version"]]


async def test_an_adapter_that_two_sectors_share_is_not_taken_from_the_other(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    await load(client, sector="legal", folder="finance_banking", pinned=True)
    response = await client.delete("/adapters/finance_banking", headers=ADMIN)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "adapter_shared")
    assert "legal" in response.json()["error"]["message"]
    write_adapter(adapters_dir / "legal", "its own weights")
    await load(client, sector="legal", folder="legal")
    assert sorted(resident.ref.name for resident in engine.adapters()) == ["finance_banking", "legal"]
    assert (await client.delete("/adapters/finance_banking", headers=ADMIN)).status_code == 200


async def test_memory_can_be_given_back_when_the_sectors_folder_is_gone(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    shutil.rmtree(adapters_dir / "finance_banking")
    assert (await client.delete("/adapters/finance_banking", headers=ADMIN)).status_code == 200
    assert engine.adapters() == []


# --- whose adapter it is --------------------------------------------------------------------------------------------


async def test_a_sector_is_not_given_an_adapter_that_was_trained_for_another(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    (adapters_dir / "finance_banking" / "turkish_ai.json").write_text('{"sector": "finance_banking"}')
    response = await client.post("/adapters", json={"sector": "legal", "folder": "finance_banking"}, headers=ADMIN)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (422, "adapter_refused", "folder")
    assert "'finance_banking'" in error["message"]
    assert "'legal'" in error["message"]
    assert card_of(await client.get("/adapters"), "legal")["folder"] is None
    assert (await client.post("/adapters", json=LOAD, headers=ADMIN)).status_code == 200


async def test_a_folder_given_at_run_time_says_that_it_lasts_until_the_restart(
    client: httpx.AsyncClient, adapters_dir: Path
) -> None:
    assert (await load(client, **LOAD))["until_restart"] is False
    write_adapter(adapters_dir / "canary", "new weights")
    assert (await load(client, **LOAD, folder="canary"))["until_restart"] is True
    assert card_of(await client.get("/adapters"), "finance_banking")["until_restart"] is True
    assert (await load(client, **LOAD, folder="finance_banking"))["until_restart"] is False


# --- one that is broken ---------------------------------------------------------------------------------------------


async def test_a_broken_adapter_is_the_servers_fault_and_shown_as_broken_from_then_on(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: truncated.", remedy="Copy it again.")
    for path, body in (("/v1/chat/completions", chat()), ("/infer", {"text": "kredi"})):
        response = await client.post(path, json=body)
        error = response.json()["error"]
        assert (response.status_code, error["type"], error["code"]) == (503, "server_error", "adapter_refused")
        assert "truncated" in error["message"]
        assert error["param"] is None
    assert len(engine.requests) == 1  # it was not tried again for the second question
    card = card_of(await client.get("/adapters"), "finance_banking")
    assert (card["version"], card["error"]["code"]) == (None, "adapter_refused")
    sectors = {card["id"]: card for card in (await client.get("/sectors")).json()["sectors"]}
    assert sectors["finance_banking"]["adapter"] is False
    assert "truncated" in sectors["finance_banking"]["problem"]


async def test_a_broken_adapter_serves_again_once_its_files_changed(
    client: httpx.AsyncClient, adapters_dir: Path, engine: FakeEngine
) -> None:
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: truncated.")
    assert (await client.post("/infer", json={"text": "kredi"})).status_code == 503
    engine.refused_adapters.clear()
    assert (await client.post("/infer", json={"text": "kredi"})).status_code == 503
    write_adapter(adapters_dir / "finance_banking", "whole weights")
    assert (await client.post("/infer", json={"text": "kredi"})).status_code == 200


async def test_loading_by_hand_tries_a_refused_adapter_again(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: made for another base model.")
    for _ in range(2):
        response = await client.post("/adapters", json=LOAD, headers=ADMIN)
        assert (response.status_code, response.json()["error"]["type"]) == (422, "invalid_request_error")
    assert card_of(await client.get("/adapters"), "finance_banking")["error"]["code"] == "adapter_refused"
    engine.refused_adapters.clear()
    assert (await load(client, **LOAD))["error"] is None
    assert (await client.post("/infer", json={"text": "kredi"})).status_code == 200


async def test_an_adapter_that_was_refused_at_the_start_is_shown_as_broken(app: FastAPI, engine: FakeEngine) -> None:
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: truncated.")
    async with open_client(app) as client:
        assert card_of(await client.get("/adapters"), "finance_banking")["error"]["code"] == "adapter_refused"


@pytest.mark.parametrize("call", ["load", "unload"])
async def test_a_sector_without_an_adapter_is_refused_in_this_routes_words(
    client: httpx.AsyncClient, call: str
) -> None:
    if call == "load":
        response = await client.post("/adapters", json={"sector": "legal"}, headers=ADMIN)
    else:
        response = await client.delete("/adapters/legal", headers=ADMIN)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "adapter_not_found", "sector")
    assert "turkish-ai train legal" in error["message"]
    assert "model" not in error["message"]
