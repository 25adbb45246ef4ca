"""A client that goes away, on a real socket: whatever was being made for it stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.server import LiveServer, post, serve
from tests.unit.api.conftest import QUESTION, chat

URL = "/v1/chat/completions"
BOUND_S = 60.0  # generous for a busy machine; it takes milliseconds


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[LiveServer]:
    async with serve(app) as live:
        yield live


async def hang_up(server: LiveServer, engine: FakeEngine, request: bytes, *, after: Gate) -> None:
    """Send `request`, leave once the engine waits at the gate, and wait until the engine has noticed."""
    _, writer = await server.connect()
    writer.write(request)
    await after.reached.wait()
    writer.transport.abort()
    async with asyncio.timeout(BOUND_S):
        await engine.one_ended.wait()


async def outcomes(server: LiveServer) -> dict[str, float]:
    async with server.client() as client:
        lines = (await client.get("/metrics")).text.splitlines()
    return {
        line.split('outcome="')[1].split('"')[0]: float(line.split()[-1])
        for line in lines
        if line.startswith("turkish_ai_turns_total{")
    }


CASES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "in a stream": (URL, chat(stream=True), True),
    "while waiting for the first word of a stream": (URL, chat(stream=True), False),
    "while a whole answer is made": (URL, chat(), True),
    "while waiting for a whole answer's first word": (URL, chat(), False),
    "while /infer answers": ("/infer", {"text": QUESTION[0]["content"]}, True),
}


@pytest.mark.parametrize(("path", "body", "speaks"), CASES.values(), ids=CASES)
async def test_hanging_up_ends_decoding(
    server: LiveServer, engine: FakeEngine, path: str, body: dict[str, Any], speaks: bool
) -> None:
    gate = Gate()
    engine.script = ("bir", gate, "iki") if speaks else (gate, "bir")
    await hang_up(server, engine, post(path, body), after=gate)
    assert list(engine.ended.values()) == ["cancelled"]
    assert await outcomes(server) == {"cancelled": 1.0}


async def test_the_place_of_a_client_that_left_is_free_again(server: LiveServer, engine: FakeEngine) -> None:
    gate = Gate()
    engine.capacity = 1
    engine.script = (gate, "bir")
    await hang_up(server, engine, post(URL, chat(stream=True)), after=gate)
    gate.open()
    async with server.client() as client:
        assert (await client.post(URL, json=chat())).status_code == 200


async def test_a_client_that_stays_is_not_disturbed_by_one_that_leaves(server: LiveServer, engine: FakeEngine) -> None:
    gate = Gate()
    engine.script = ("bir", gate, "iki")
    async with server.client() as client:
        staying = asyncio.create_task(client.post(URL, json=chat()))
        await gate.reached.wait()
        gate.reached.clear()  # the one that leaves comes to it next
        await hang_up(server, engine, post(URL, chat(stream=True)), after=gate)
        gate.open()
        assert (await staying).json()["choices"][0]["message"]["content"] == "biriki"


async def test_a_connection_is_kept_for_the_next_request(server: LiveServer) -> None:
    reader, writer = await server.connect()
    for _ in range(2):
        writer.write(post(URL, chat(stream=True)))
        answer = await reader.readuntil(b"0\r\n\r\n")
        assert b"[DONE]" in answer
    writer.close()
