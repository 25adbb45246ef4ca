"""`/health`, `/ready`, and who is let in while the server loads, drains, or is dead."""

import asyncio

import httpx
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.router import FakeRouter
from tests.unit.api.conftest import chat, open_client
from turkish_ai.app import create_app
from turkish_ai.errors import UnsupportedModel
from turkish_ai.settings import Settings

URL = "/v1/chat/completions"


async def test_a_ready_server_says_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json()["status"] == "alive"
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_while_it_loads_it_is_alive_not_ready_and_answers_503(settings: Settings, router: FakeRouter) -> None:
    gate = Gate()
    app = create_app(settings, engine=FakeEngine(loading=gate), router=router)
    async with open_client(app, wait=False) as client:
        await gate.reached.wait()
        assert (await client.get("/health")).status_code == 200
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "loading")
        assert ready.json()["detail"] == "loading the base model"
        assert ready.headers["retry-after"] == "2"
        for path, body in ((URL, chat()), ("/infer", {"text": "x"}), ("/classify", {"text": "x"})):
            response = await client.post(path, json=body)
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "engine_unavailable"
            assert response.headers["retry-after"] == "2"
        assert (await client.get("/sectors")).status_code == 200
        assert (await client.get("/")).status_code == 200
        gate.open()
        while (await client.get("/ready")).status_code != 200:  # noqa: ASYNC110  # as a caller would
            await asyncio.sleep(0.001)
        assert (await client.post(URL, json=chat())).status_code == 200


async def test_an_engine_that_died_fails_both_probes(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.state = "dead"
    assert (await client.get("/health")).status_code == 503
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "dead")
    assert (await client.post(URL, json=chat())).status_code == 503


async def test_a_server_that_could_not_load_is_dead_and_says_why(settings: Settings, router: FakeRouter) -> None:
    engine = FakeEngine(load_error=UnsupportedModel("The model has 7 heads.", remedy="Take another."))
    async with open_client(create_app(settings, engine=engine, router=router)) as client:
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "dead")
        assert "7 heads" in ready.json()["detail"]
        assert (await client.get("/health")).status_code == 503
        refused = await client.post(URL, json=chat())
        assert refused.status_code == 503
        assert "7 heads" in refused.json()["error"]["message"]


async def test_an_unforeseen_error_while_loading_is_not_told_to_callers(settings: Settings) -> None:
    engine = FakeEngine(load_error=RuntimeError("secret path"))
    async with open_client(create_app(settings, engine=engine, router=FakeRouter())) as client:
        assert (await client.get("/ready")).json()["status"] == "dead"
        assert "secret" not in (await client.get("/ready")).text


async def test_a_draining_server_turns_new_requests_away(app: FastAPI) -> None:
    async with open_client(app) as client:
        app.state.runtime._lifecycle.drain()
        for response in (await client.post(URL, json=chat()), await client.get("/v1/models")):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "draining"
            assert response.headers["retry-after"] == "2"
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/metrics")).status_code == 200
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
