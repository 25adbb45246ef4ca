"""Bodies that are too large or too slow, on a real socket where that matters."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from tests.fakes.server import post, serve
from tests.unit.api.conftest import ADMIN, ADMIN_KEY, MakeSettings, chat, open_client
from turkish_ai.app import create_app

URL = "/v1/chat/completions"
LIMIT_BYTES = 4096


@pytest.fixture
def app(make_settings: MakeSettings, engine: FakeEngine, router: FakeRouter) -> FastAPI:
    return create_app(
        make_settings(limits={"body_bytes": LIMIT_BYTES, "body_seconds": 0.2}, admin_key=ADMIN_KEY),
        engine=engine,
        router=router,
    )


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def body_of(size: int) -> bytes:
    empty = len(json.dumps(chat(user="")).encode())
    return json.dumps(chat(user="x" * (size - empty))).encode()


JSON = {"content-type": "application/json"}


async def test_a_body_at_the_limit_is_taken(client: httpx.AsyncClient) -> None:
    assert len(body_of(LIMIT_BYTES)) == LIMIT_BYTES
    assert (await client.post(URL, content=body_of(LIMIT_BYTES), headers=JSON)).status_code == 200


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, content=body_of(LIMIT_BYTES + 1), headers=JSON)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"
    assert "4,096" in response.json()["error"]["message"]


async def test_a_body_over_the_limit_is_refused_without_an_announced_length_too(app: FastAPI) -> None:
    async with serve(app) as live, live.client() as client:
        response = await client.post(URL, content=in_pieces(body_of(LIMIT_BYTES * 20)), headers=JSON)
        assert response.request.headers["transfer-encoding"] == "chunked"
        assert response.status_code == 413
        again = await client.post(URL, content=in_pieces(body_of(LIMIT_BYTES)), headers=JSON)
        assert again.status_code == 200


async def test_a_body_that_does_not_arrive_is_refused_with_408_and_the_connection_closed(app: FastAPI) -> None:
    async with serve(app) as live:
        reader, writer = await live.connect()
        writer.write(post(URL, chat())[:-5])  # the last bytes never come
        answer = await reader.read()  # to the end: the server closes
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in head
    assert json.loads(body)["error"]["code"] == "body_too_slow"


async def test_a_client_that_hangs_up_in_its_body_does_no_harm(app: FastAPI, engine: FakeEngine) -> None:
    async with serve(app) as live, live.client() as client:
        _, writer = await live.connect()
        writer.write(post(URL, chat())[:-5])
        writer.close()
        await writer.wait_closed()
        assert (await client.post(URL, json=chat())).status_code == 200
    assert len(engine.requests) == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"content-type": "text/plain"}, "text/plain"),
        ({"content-type": "application/x-www-form-urlencoded"}, "application/json"),
        ({}, "missing"),
        ({"content-type": "application/json; charset=iso-8859-9"}, "UTF-8"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "uncompressed"),
    ],
)
async def test_what_is_not_json_by_its_headers_is_refused_with_415(
    client: httpx.AsyncClient, headers: dict[str, str], words: str
) -> None:
    response = await client.post(URL, content=json.dumps(chat()).encode(), headers=headers)
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", "Application/JSON", "application/vnd.api+json"]
)
async def test_other_spellings_of_json_are_taken(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(URL, content=json.dumps(chat()).encode(), headers={"content-type": content_type})
    assert response.status_code == 200


async def test_every_route_with_a_body_refuses_hostile_ones(app: FastAPI) -> None:
    hostile = [b"", b"[]", b"{", b'{"a": NaN}', b"\xff", b'{"text": "\\ud800"}', b'{"text": "\\u0000"}', b"[" * 3000]
    async with open_client(app) as client:
        for route in (URL, "/infer", "/classify", "/adapters"):
            for body in hostile:
                response = await client.post(route, content=body, headers={**JSON, **ADMIN})
                assert response.status_code == 400, (route, body)
                assert response.json()["error"]["message"]
