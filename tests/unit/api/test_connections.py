"""What is refused before there is a request, and answers to old clients: on real sockets."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from tests.fakes.server import LiveServer, post, serve
from tests.unit.api.conftest import MakeSettings, chat
from turkish_ai.app import create_app

BOUND_S = 60.0  # generous for a busy machine; it takes milliseconds
LIMITS = {"header_bytes": 2048, "header_seconds": 0.2, "connections": 4}


@pytest.fixture
def app(make_settings: MakeSettings, engine: FakeEngine, router: FakeRouter) -> FastAPI:
    return create_app(make_settings(limits=LIMITS, admin_key="a key of the tests"), engine=engine, router=router)


async def answer_to(live: LiveServer, *pieces: bytes) -> tuple[bytes, bytes]:
    """Head and body of everything that comes until the server closes."""
    reader, writer = await live.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(BOUND_S):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def assert_refused(head: bytes, body: bytes, status: int, code: str) -> None:
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["error"]["code"] == code


def counted(app: FastAPI, status: int) -> Any:
    labels = {"route": "other", "method": "other", "status": str(status)}
    return app.state.runtime._metrics.registry.get_sample_value("turkish_ai_http_requests_total", labels)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"FOO / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: abc\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    ],
)
async def test_what_is_not_http_is_refused_in_the_shape_of_every_error(app: FastAPI, request_bytes: bytes) -> None:
    async with serve(app) as live:
        head, body = await answer_to(live, request_bytes)
    assert_refused(head, body, 400, "unreadable_request")
    assert counted(app, 400) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 4096 + b"\r\n\r\n"],
        [b"GET /" + b"a" * 4096 + b" HTTP/1.1\r\nhost: a\r\n\r\n"],
        [b"GET /health HTTP/1.1\r\nhost: a\r\n", *[b"x: " + b"a" * 500 + b"\r\n"] * 10],
        [b"GET /health HTTP/1.1\r\nhost: a\r\nx: ", *[b"a" * 65536] * 40],  # a line that never ends
    ],
)
async def test_headers_over_the_limit_are_refused_before_they_fill_the_memory(
    app: FastAPI, pieces: list[bytes]
) -> None:
    async with serve(app) as live:
        head, body = await answer_to(live, *pieces)
    assert_refused(head, body, 431, "headers_too_large")
    assert "2,048" in json.loads(body)["error"]["message"]


async def test_headers_within_the_limit_are_taken_again_and_again_on_one_connection(app: FastAPI) -> None:
    async with serve(app) as live:
        reader, writer = await live.connect()
        for _ in range(3):
            writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 1500 + b"\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()


async def test_half_a_head_is_refused_when_its_time_is_over(app: FastAPI) -> None:
    async with serve(app) as live:
        head, body = await answer_to(live, b"GET /health HTTP/1.1\r\nhost: a\r\n")
    assert_refused(head, body, 408, "headers_too_slow")
    assert b"retry-after" in head


@pytest.mark.parametrize("nothing", [b"", b"\r\n\r\n"])
async def test_a_connection_that_asks_for_nothing_is_closed(app: FastAPI, nothing: bytes) -> None:
    async with serve(app) as live:
        assert await answer_to(live, nothing) == (b"", b"")


async def test_one_connection_too_many_is_refused_and_the_others_go_on(make_settings: MakeSettings) -> None:
    settings = make_settings(limits={**LIMITS, "header_seconds": 60.0}, admin_key="a key of the tests")
    app = create_app(settings, engine=FakeEngine(), router=FakeRouter())
    async with serve(app) as live:
        while live.server.server_state.connections:  # noqa: ASYNC110  # the one that asked whether it is ready
            await asyncio.sleep(0.001)
        held = [await live.connect() for _ in range(4)]
        head, body = await answer_to(live)
        assert_refused(head, body, 503, "too_many_connections")
        assert b"retry-after: 2" in head
        reader, writer = held[0]
        writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        for _, other in held:
            other.close()


async def test_an_http_1_0_client_gets_a_stream_without_chunks(app: FastAPI) -> None:
    request = post("/v1/chat/completions", chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serve(app) as live:
        head, body = await answer_to(live, request)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert all(line.startswith(b"data: ") for line in body.splitlines() if line)
    assert body.endswith(b"data: [DONE]\n\n")


async def test_an_http_1_0_client_gets_a_whole_answer_with_its_length(app: FastAPI) -> None:
    request = post("/infer", {"text": "kredi"}).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serve(app) as live:
        head, body = await answer_to(live, request)
    assert head.startswith(b"HTTP/1.1 200")
    assert f"content-length: {len(body)}".encode() in head
