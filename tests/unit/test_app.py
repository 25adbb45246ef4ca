"""The server as a process: what it says when it is ready, and how it stops."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.router import FakeRouter
from tests.fakes.server import client_of, post, serve
from turkish_ai import logs
from turkish_ai.app import create_app, run
from turkish_ai.errors import SettingsError
from turkish_ai.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "model_config.json"
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "kredi"}], "stream": True}
URL = "/v1/chat/completions"
BOUND_S = 90.0  # generous: a busy machine takes seconds only to import; what is bounded takes milliseconds


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        structlog.configure(processors=structlog.get_config()["processors"])  # is_configured: the app leaves it
        yield
    structlog.reset_defaults()


def environment(tmp_path: Path, *, drain_seconds: float, **more: str) -> dict[str, str]:
    """Ours, with a configuration that drains for so long, a free port and no adapters."""
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    config["inference"]["drain_seconds"] = drain_seconds
    folder = tmp_path / "configs"
    folder.mkdir(exist_ok=True)
    shutil.copy(CONFIG.with_name("chat_template.jinja"), folder)
    (folder / "model_config.json").write_text(json.dumps(config), encoding="utf-8")
    return {
        "TURKISH_AI_CONFIG": str(folder / "model_config.json"),
        "TURKISH_AI_PORT": "0",
        "HOME": str(tmp_path),
        **more,
    }


def settings_for(tmp_path: Path, *, drain_seconds: float = 30.0) -> Settings:
    return load_settings(environment(tmp_path, drain_seconds=drain_seconds))


async def stream_of(client: httpx.AsyncClient) -> AsyncIterator[Any]:
    """The events of a chat stream, read as they come."""
    async with client.stream("POST", URL, json=CHAT) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line:
                data = line.removeprefix("data: ")
                yield data if data == "[DONE]" else json.loads(data)


# --- draining, in this process: plain uvicorn, as `uvicorn services.inference_service:app` runs it -------------------


async def test_a_stop_signal_lets_a_running_stream_end_and_turns_new_requests_away(tmp_path: Path) -> None:
    gate = Gate()
    engine = FakeEngine("bir", gate, "iki")
    app = create_app(settings_for(tmp_path), engine=engine, router=FakeRouter())
    async with serve(app) as live, live.client() as client:
        running = asyncio.create_task(_all_events(client))
        await gate.reached.wait()
        signal.raise_signal(signal.SIGTERM)
        ready = await client.get("/ready")  # at once, before the loop has done anything else
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        refused = await client.post(URL, json=CHAT)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert refused.headers["retry-after"] == "2"
        assert (await client.get("/health")).status_code == 200
        gate.open()
        events = await running
        assert events[-1] == "[DONE]"
        assert "".join(e["choices"][0]["delta"].get("content", "") for e in events[:-1]) == "biriki"
        async with asyncio.timeout(BOUND_S):
            await live.serving
    assert engine.stops == [30.0]


async def test_a_stream_that_outlives_the_drain_ends_with_a_typed_error(tmp_path: Path) -> None:
    gate = Gate()
    engine = FakeEngine("bir", gate, "iki")
    app = create_app(settings_for(tmp_path, drain_seconds=0.1), engine=engine, router=FakeRouter())
    async with serve(app) as live, live.client() as client:
        running = asyncio.create_task(_all_events(client))
        await gate.reached.wait()
        signal.raise_signal(signal.SIGTERM)
        events = await running
        async with asyncio.timeout(BOUND_S):
            await live.serving
    assert events[-1]["error"]["code"] == "draining"
    assert events[-1]["error"]["type"] == "server_error"
    assert "[DONE]" not in events


async def test_a_whole_answer_that_outlives_the_drain_is_a_503(tmp_path: Path) -> None:
    gate = Gate()
    engine = FakeEngine("bir", gate, "iki")
    app = create_app(settings_for(tmp_path, drain_seconds=0.1), engine=engine, router=FakeRouter())
    async with serve(app) as live, live.client() as client:
        running = asyncio.create_task(client.post(URL, json={**CHAT, "stream": False}))
        await gate.reached.wait()
        signal.raise_signal(signal.SIGTERM)
        response = await running
        assert (response.status_code, response.json()["error"]["code"]) == (503, "draining")


async def test_a_request_that_is_still_arriving_at_a_stop_signal_is_refused_at_once(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path), engine=FakeEngine(), router=FakeRouter())
    async with serve(app) as live:
        reader, writer = await live.connect()
        writer.write(post("/classify", {"text": "kredi"})[:-3])  # the rest never comes
        await _until_read(app)
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(BOUND_S):
            answer = await reader.read()  # to the end: the server closes
            await live.serving
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 2" in head
    assert json.loads(body)["error"]["code"] == "draining"
    counted = app.state.runtime._metrics.registry.get_sample_value(
        "turkish_ai_http_requests_total", {"route": "/classify", "method": "POST", "status": "503"}
    )
    assert counted == 1


async def _until_read(app: FastAPI) -> None:
    while not app.state.runtime._lifecycle._reading:  # noqa: ASYNC110  # nothing tells of a body that is awaited
        await asyncio.sleep(0.001)


async def test_a_request_that_the_server_gives_up_on_while_stopping_is_a_503(tmp_path: Path) -> None:
    class Stuck(FakeRouter):
        def choose(self, text: str, *, history: Any = ()) -> Any:
            reached.set()
            let_go.wait(BOUND_S)
            return super().choose(text, history=history)

    reached, let_go = threading.Event(), threading.Event()
    app = create_app(settings_for(tmp_path), engine=FakeEngine(), router=Stuck())
    async with serve(app) as live, live.client() as client:
        live.server.config.timeout_graceful_shutdown = 0
        asking = asyncio.create_task(client.post("/classify", json={"text": "kredi"}))
        await asyncio.to_thread(reached.wait)
        signal.raise_signal(signal.SIGTERM)
        response = await asking
        let_go.set()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "draining")


async def test_a_server_that_another_program_runs_claims_no_address(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path), engine=FakeEngine(), router=FakeRouter())
    with structlog.testing.capture_logs() as lines:
        async with serve(app):
            pass
    (ready,) = [line for line in lines if "is ready" in line["event"]]
    assert "http" not in ready["event"]
    assert ready["url"] is None


async def test_two_stop_signals_are_one(tmp_path: Path) -> None:
    gate = Gate()
    engine = FakeEngine("bir", gate, "iki")
    app = create_app(settings_for(tmp_path), engine=engine, router=FakeRouter())
    async with serve(app) as live, live.client() as client:
        running = asyncio.create_task(_all_events(client))
        await gate.reached.wait()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        await client.get("/ready")
        gate.open()
        assert (await running)[-1] == "[DONE]"
    assert engine.stops == [30.0]


async def test_a_server_that_ends_without_a_signal_stops_its_engine_too(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = create_app(settings_for(tmp_path), engine=engine, router=FakeRouter())
    async with serve(app):
        pass
    assert engine.stops == [30.0]


async def test_the_signal_handlers_that_were_there_are_there_again(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    app = create_app(settings_for(tmp_path), engine=FakeEngine(), router=FakeRouter())
    async with serve(app):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_an_adapter_that_is_refused_at_the_start_does_not_keep_the_others_from_serving(tmp_path: Path) -> None:
    from turkish_ai.errors import AdapterRefused

    for sector in ("finance_banking", "healthcare"):
        folder = tmp_path / "adapters" / sector
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_text(sector)
    engine = FakeEngine()
    engine.refused_adapters["finance_banking"] = AdapterRefused("finance_banking: rank 128.")
    app = create_app(settings_for(tmp_path), engine=engine, router=FakeRouter())
    async with serve(app) as live, live.client() as client:
        assert (await client.get("/ready")).status_code == 200
    assert [resident.ref.name for resident in engine.adapters()] == ["healthcare"]


async def _all_events(client: httpx.AsyncClient) -> list[Any]:
    return [event async for event in stream_of(client)]


# --- a process of its own -------------------------------------------------------------------------------------------


class ServerProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def line(self, event: str) -> dict[str, Any]:
        """The next log line whose event holds `event`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(BOUND_S):
            async for raw in self.process.stderr:
                found: dict[str, Any] = json.loads(raw)
                self.lines.append(found)
                if event in found["event"]:
                    return found
        raise AssertionError(f"no line with {event!r} in {self.lines}")

    async def exit_code(self) -> int:
        async with asyncio.timeout(BOUND_S):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def server_process(tmp_path: Path, what: str, *, drain_seconds: float = 30.0) -> AsyncIterator[ServerProcess]:
    env = {"PATH": os.environ["PATH"], **environment(tmp_path, drain_seconds=drain_seconds)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.serve", what, cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield ServerProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_server_says_when_and_where_it_is_ready_and_a_stop_signal_ends_it_with_0(tmp_path: Path) -> None:
    async with server_process(tmp_path, "answering") as server:
        ready = await server.line("is ready at")
        assert re.fullmatch(r"Türk AI Agent is ready at http://127\.0\.0\.1:\d+ after \d+\.\d s", ready["event"])
        async with client_of(ready["url"]) as client:
            assert (await client.get("/ready")).status_code == 200
            answer = await client.post(URL, json={**CHAT, "stream": False})
            assert answer.status_code == 200
            assert "server" not in answer.headers
        server.process.send_signal(signal.SIGTERM)
        assert await server.exit_code() == 0


async def test_a_stop_signal_ends_a_stuck_stream_with_an_error_and_the_process_with_0(tmp_path: Path) -> None:
    async with server_process(tmp_path, "stuck", drain_seconds=0.2) as server:
        url = (await server.line("is ready at"))["url"]
        async with client_of(url) as client:
            events = stream_of(client)
            await anext(events)
            server.process.send_signal(signal.SIGTERM)
            rest = [event async for event in events]
        assert rest[-1]["error"]["code"] == "draining"
        assert await server.exit_code() == 0


async def test_a_client_that_never_reads_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    async with server_process(tmp_path, "stuck", drain_seconds=0.1) as server:
        port = int((await server.line("is ready at"))["url"].rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(URL, CHAT))
        await writer.drain()
        server.process.send_signal(signal.SIGTERM)
        assert await server.exit_code() == 0
        writer.close()


async def test_a_stop_signal_while_loading_ends_the_process_with_0(tmp_path: Path) -> None:
    async with server_process(tmp_path, "loading") as server:
        url = (await server.line("is loading"))["url"]
        async with client_of(url) as client:
            assert (await client.get("/ready")).json()["status"] == "loading"
        server.process.send_signal(signal.SIGTERM)
        assert await server.exit_code() == 0


async def test_a_server_that_cannot_load_ends_with_the_reason(tmp_path: Path) -> None:
    async with server_process(tmp_path, "failing") as server:
        line = await server.line("loading failed")
        assert (line["code"], line["level"]) == ("unsupported_model", "error")
        assert await server.exit_code() == 1


def test_an_address_in_use_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(environment(tmp_path, drain_seconds=1), port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match="TURKISH_AI_PORT"):
            run(settings, engine=FakeEngine(), router=FakeRouter())


# --- logs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def _own_logging() -> Iterator[None]:
    import logging

    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_own_logging")
@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_traceback_in_the_log_shows_no_local_variables(fmt: Any, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    logs.configure(level="info", fmt=fmt)
    structlog.contextvars.bind_contextvars(request_id="req-1")

    def fail() -> None:
        question = "gizli soru"
        raise ValueError(f"{len(question)} characters")

    try:
        fail()
    except ValueError:
        structlog.get_logger("test").exception("failed")
    structlog.contextvars.clear_contextvars()
    printed = capsys.readouterr().err
    assert "ValueError: 10 characters" in printed
    assert "req-1" in printed
    assert "gizli soru" not in printed.replace('question = "gizli soru"', "").replace('question = \\"gizli soru\\"', "")


@pytest.mark.usefixtures("_own_logging")
def test_configuring_twice_prints_once_and_libraries_lines_look_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    logs.configure(level="info", fmt="json")
    logs.configure(level="info", fmt="json")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("httpx").info("a step that is not ours to report")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["logger"]) == (
        "Invalid HTTP request received.",
        "warning",
        "uvicorn.error",
    )
    assert found["timestamp"].endswith("Z")


def test_the_thin_entry_for_operators_is_an_application(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in environment(tmp_path, drain_seconds=1).items():
        monkeypatch.setenv(name, value)
    from services.inference_service import app

    assert isinstance(app, FastAPI)
