"""The application on a real socket, in the test's own event loop, so that gates and events can be shared with it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from fastapi import FastAPI


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveServer:
    url: str
    port: int
    server: uvicorn.Server
    serving: asyncio.Task[None]

    def client(self) -> httpx.AsyncClient:
        return client_of(self.url)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


def client_of(url: str) -> httpx.AsyncClient:
    """Patient, because the machine may be busy; without TLS certificates, which take longer to read than a test."""
    return httpx.AsyncClient(base_url=url, verify=False, timeout=90)


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[LiveServer]:
    """Yields once /ready answers 200 or says why it never will."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, proxy_headers=False, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    live = LiveServer(url=f"http://127.0.0.1:{port}", port=port, server=server, serving=serving)
    try:
        await until_loaded(live.url)
        yield live
    finally:
        server.should_exit = True
        await serving


async def until_loaded(url: str) -> None:
    async with client_of(url) as client:
        while (await client.get("/ready")).json()["status"] == "loading":  # noqa: ASYNC110  # as a caller would
            await asyncio.sleep(0.01)


def post(path: str, body: object, *headers: str) -> bytes:
    """A whole HTTP/1.1 request, for sockets that are written to by hand."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        f"content-length: {len(content)}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + content
