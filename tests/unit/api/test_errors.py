"""The error object, whatever went wrong, and what every answer carries."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine
from tests.fakes.router import FakeRouter
from tests.unit.api.conftest import ADMIN, chat, open_client
from turkish_ai.app import create_app
from turkish_ai.errors import AdapterMemoryFull, ContextLengthExceeded, EngineUnavailable, TurkishAiError
from turkish_ai.settings import Settings

URL = "/v1/chat/completions"


async def test_an_unknown_path_is_a_404_in_openais_shape(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert "/v1/nothing" in response.json()["error"]["message"]


async def test_a_wrong_method_is_a_405_that_names_the_right_ones(client: httpx.AsyncClient) -> None:
    response = await client.delete("/adapters")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"
    assert response.headers["allow"] == "GET, POST"


async def test_a_trailing_slash_is_another_path_and_not_a_redirect(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models/", follow_redirects=False)).status_code == 404


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "evil.example:99999", ""])
async def test_a_malformed_host_is_no_internal_error(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/nothing", headers={"host": host})).status_code == 404
    assert (await client.delete("/metrics", headers={"host": host})).status_code == 405
    headers = {**ADMIN, "host": host, "origin": "null"}
    assert (await client.delete("/adapters/legal", headers=headers)).status_code == 403


async def test_probes_are_logged_only_for_who_debugs(client: httpx.AsyncClient, logs: list[Any]) -> None:
    logs.clear()
    await client.get("/health")
    await client.get("/sectors")
    assert [(line["route"], line["log_level"]) for line in logs] == [("/health", "debug"), ("/sectors", "info")]


async def test_head_is_answered_where_get_is(client: httpx.AsyncClient) -> None:
    assert (await client.head("/health")).status_code == 200
    assert (await client.head(URL)).status_code == 405


ENGINE_ERRORS: list[tuple[TurkishAiError, int, str | None]] = [
    (ContextLengthExceeded("Too long.", param="messages"), 400, None),
    (EngineUnavailable("The engine died."), 503, "2"),
    (AdapterMemoryFull("No room.", retry_after_s=0.2), 503, "1"),
    (TurkishAiError("Odd."), 500, None),
]


@pytest.mark.parametrize(("error", "status", "retry_after"), ENGINE_ERRORS)
async def test_an_engines_error_has_its_status_and_says_when_to_try_again(
    client: httpx.AsyncClient, engine: FakeEngine, error: TurkishAiError, status: int, retry_after: str | None
) -> None:
    engine.script = (error,)
    response = await client.post(URL, json=chat())
    assert response.status_code == status
    assert response.json() == {
        "error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    }
    assert response.headers.get("retry-after") == retry_after


async def test_an_unforeseen_error_is_a_500_without_details_and_a_log_line_with_them(
    settings: Settings, engine: FakeEngine, logs: list[Any]
) -> None:
    app = create_app(settings, engine=engine, router=FakeRouter(error=ZeroDivisionError("secret detail")))
    async with open_client(app) as client:
        response = await client.post(URL, json=chat(), headers={"x-request-id": "req-9"})
        metrics = (await client.get("/metrics")).text
    assert response.status_code == 500
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "req-9" in error["message"]
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"] == "req-9"
    (line,) = [line for line in logs if line["event"] == "unforeseen error"]
    assert line["exc_info"]
    assert f'turkish_ai_http_requests_total{{method="POST",route="{URL}",status="500"}} 1.0' in metrics


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "01HZ.x_y:z"])
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/health", headers={"x-request-id": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "x\ty", "<script>", "ığ".encode(), "-rf"])
async def test_another_request_id_is_replaced(client: httpx.AsyncClient, given: str | bytes) -> None:
    response = await client.get("/health", headers={"x-request-id": given})
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/health", "/nothing", "/v1/models", "/", "/metrics"])
async def test_every_answer_carries_the_safe_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_routes_in_the_metrics_are_the_apps_own_whatever_is_asked(app: FastAPI) -> None:
    async with open_client(app) as client:
        for path in ("/v1/models/auto", "/v1/models/x%2Fy", "/wp-login.php", "/a/b/c", "/web/nothing.js"):
            await client.get(path)
        await client.request("BREW", "/coffee")
        text = (await client.get("/metrics")).text
    assert 'route="/v1/models/{model_id}"' in text
    assert 'method="other",route="other"' in text
    assert 'route="/web/{name}"' in text
    assert "wp-login" not in text
    assert "coffee" not in text
    assert "BREW" not in text


async def test_log_lines_of_a_request_carry_its_id(app: FastAPI, logs: list[Any]) -> None:
    import structlog

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, *structlog.get_config()["processors"]])
    async with open_client(app) as client:
        await client.post(URL, json=chat(), headers={"x-request-id": "req-5"})
    lines = {line["event"]: line for line in logs if line["event"] in ("turn", "request") and "req-5" in str(line)}
    assert set(lines) == {"turn", "request"}
    assert lines["turn"]["request_id"] == "req-5"
