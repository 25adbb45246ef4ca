"""`POST /v1/chat/completions`: the answers, whole and streamed."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.router import FakeRouter
from tests.unit.api.conftest import chat, open_client
from turkish_ai.api import event_stream
from turkish_ai.errors import GenerationFailed, QueueFull
from turkish_ai.messages import TextDelta, TokenLogprob

URL = "/v1/chat/completions"


def events(response: httpx.Response) -> list[Any]:
    """Each event's data, `[DONE]` as it stands; the framing is the standard's."""
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


async def ask(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await client.post(URL, json=chat(**fields))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


# --- whole ----------------------------------------------------------------------------------------------------------


async def test_an_answer_is_openais_object_and_says_where_it_comes_from(client: httpx.AsyncClient) -> None:
    body = await ask(client)
    ChatCompletion.model_validate(body, strict=True)
    assert body["choices"][0]["message"]["content"] == "Merhaba, dünya."
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    origin = body["turkish_ai"]
    assert origin["sector"] == "finance_banking"
    assert origin["sector_name"] == "Finans ve Bankacılık"
    assert origin["confidence"] == 0.8125
    assert origin["top"] == [
        {"sector": "finance_banking", "confidence": 0.8125},
        {"sector": "energy", "confidence": 0.1},
    ]
    assert (origin["adapter"], origin["engine"], origin["fallback"]) == ("finance_banking", "fake", None)
    assert body["model"] == f"finance_banking@{origin['version']}"


async def test_the_model_of_an_answer_can_be_asked_for_again(client: httpx.AsyncClient) -> None:
    first = await ask(client)
    again = await ask(client, model=first["model"])
    assert again["turkish_ai"]["version"] == first["turkish_ai"]["version"]


async def test_the_headers_say_where_the_answer_comes_from(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=chat())
    ours = {name: value for name, value in response.headers.items() if name.startswith("x-turkish-ai-")}
    assert ours == {
        "x-turkish-ai-sector": "finance_banking",
        "x-turkish-ai-confidence": "0.8125",
        "x-turkish-ai-adapter": "finance_banking",
        "x-turkish-ai-version": response.json()["turkish_ai"]["version"],
        "x-turkish-ai-engine": "fake",
    }


async def test_the_base_models_answer_has_no_adapter_in_its_headers(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=chat(model="base"))
    assert response.headers["x-turkish-ai-sector"] == "general"
    assert "x-turkish-ai-adapter" not in response.headers
    assert "x-turkish-ai-version" not in response.headers
    assert response.json()["model"] == "base"


async def test_a_fallback_says_so_in_turkish_and_english(client: httpx.AsyncClient) -> None:
    body = await ask(client, messages=[{"role": "user", "content": "dava açacağım"}])
    fallback = body["turkish_ai"]["fallback"]
    assert (fallback["code"], fallback["sector"]) == ("adapter_not_found", "legal")
    assert "Hukuk" in fallback["message_tr"]
    assert "Legal" in fallback["message_en"]
    assert body["turkish_ai"]["sector_name"] == "Genel"
    assert body["model"] == "base"


async def test_several_answers_are_told_apart(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.script = (TextDelta(index=1, text="iki"), TextDelta(index=0, text="bir"), "!")
    body = await ask(client, n=2)
    assert [choice["message"]["content"] for choice in body["choices"]] == ["bir!", "iki!"]


async def test_an_answer_cut_short_says_length(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.finish_reason = "length"
    assert (await ask(client))["choices"][0]["finish_reason"] == "length"


LOGPROBS = TextDelta(
    index=0,
    text="ığ",
    token_ids=(7,),
    logprobs=(
        TokenLogprob(
            token="ığ",
            token_bytes="ığ".encode(),
            logprob=-0.5,
            top=(("ığ", "ığ".encode(), -0.5), ("�", b"\xc4", float("-inf"))),
        ),
    ),
)


async def test_log_probabilities_are_openais(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.script = (LOGPROBS,)
    body = await ask(client, logprobs=True, top_logprobs=2)
    ChatCompletion.model_validate(body, strict=True)
    (token,) = body["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("ığ", -0.5, [196, 177, 196, 159])
    assert token["top_logprobs"][1] == {"token": "�", "logprob": -9999.0, "bytes": [196]}


async def test_a_failure_before_the_answer_is_complete_is_an_error_and_no_answer(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.script = ("yarım", GenerationFailed("The step failed."))
    response = await client.post(URL, json=chat())
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "generation_failed"
    assert "yarım" not in response.text


# --- streamed -------------------------------------------------------------------------------------------------------


async def test_a_stream_is_a_role_the_texts_a_finish_and_done(client: httpx.AsyncClient) -> None:
    *chunks, done = events(await client.post(URL, json=chat(stream=True)))
    assert done == "[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert [delta["content"] for delta in deltas[1:-1]] == ["Merhaba", ", ", "dünya", "."]
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 5 + ["stop"]
    assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}) == 1
    assert [("turkish_ai" in chunk) for chunk in chunks] == [True, *[False] * 4, True]
    assert "usage" not in chunks[0]


async def test_the_usage_comes_last_if_asked_for(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=chat(stream=True, stream_options={"include_usage": True}))
    *chunks, last, done = events(response)
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 14
    assert last["turkish_ai"]["sector"] == "finance_banking"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert "turkish_ai" not in chunks[-1]


async def test_several_streamed_answers_have_a_role_and_a_finish_each(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.script = ("a", "b")
    *chunks, _ = events(await client.post(URL, json=chat(stream=True, n=2)))
    for index in (0, 1):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert mine[0]["delta"]["role"] == "assistant"
        assert "".join(choice["delta"].get("content", "") for choice in mine) == "ab"
        assert mine[-1]["finish_reason"] == "stop"
    assert "turkish_ai" in chunks[-1]


async def test_a_stream_has_the_same_headers_and_is_not_buffered(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=chat(stream=True))
    assert response.headers["x-turkish-ai-sector"] == "finance_banking"
    assert response.headers["x-turkish-ai-version"]
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-cache"
    assert "content-length" not in response.headers


async def test_streamed_log_probabilities_come_with_their_text(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.script = (LOGPROBS,)
    chunks = events(await client.post(URL, json=chat(stream=True, logprobs=True)))
    (token,) = chunks[1]["choices"][0]["logprobs"]["content"]
    assert token["token"] == chunks[1]["choices"][0]["delta"]["content"] == "ığ"


@pytest.mark.parametrize("text", ['tırnak " ve \\ ters', "satır\nsonu\r\n", "ayraç\u2028\u2029\x85son", "😀 ığüşöç"])
async def test_no_text_breaks_the_framing(client: httpx.AsyncClient, engine: FakeEngine, text: str) -> None:
    engine.script = (text,)
    response = await client.post(URL, json=chat(stream=True))
    assert events(response)[1]["choices"][0]["delta"]["content"] == text
    # Readers that split at every line end that Unicode knows see the same events.
    assert len(response.text.splitlines()) == response.text.count("\n")


async def test_a_refusal_before_the_first_byte_is_a_real_status(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.capacity = 0
    response = await client.post(URL, json=chat(stream=True))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["code"] == "queue_full"
    assert response.headers["content-type"] == "application/json"


async def test_a_failure_in_the_stream_is_an_error_event_and_no_done(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.script = ("yarım", GenerationFailed("The step failed."))
    *chunks, last = events(await client.post(URL, json=chat(stream=True)))
    assert chunks[1]["choices"][0]["delta"]["content"] == "yarım"
    assert last["error"]["code"] == "generation_failed"
    assert "[DONE]" not in chunks


async def test_an_unforeseen_error_in_the_stream_is_told_without_its_details(
    app: FastAPI, engine: FakeEngine, logs: list[Any]
) -> None:
    engine.script = ("yarım", RuntimeError("secret detail"))
    async with open_client(app) as client:
        response = await client.post(URL, json=chat(stream=True), headers={"x-request-id": "req-7"})
    assert events(response)[-1]["error"]["code"] == "internal_error"
    assert "req-7" in events(response)[-1]["error"]["message"]
    assert "secret" not in response.text
    assert any(line.get("exc_info") for line in logs)


async def test_pieces_that_arrive_together_leave_together(app: FastAPI, engine: FakeEngine) -> None:
    gate = Gate()
    engine.script = ("a", "b", "c", gate, "d", "e")
    bodies: list[bytes] = []
    scope, receive = _raw_request(chat(stream=True))

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            bodies.append(message["body"])
            gate.open()

    async with open_client(app):
        await app(scope, receive, send)
    assert [body.count(b"data: ") for body in bodies] == [4, 4]  # role a b c, d e finish done


async def test_a_client_that_stops_reading_is_let_go_and_its_answer_ended(
    app: FastAPI, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "STALLED_S", 0.05)
    engine.script = ("a", Gate(), "b")
    scope, receive = _raw_request(chat(stream=True))

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await Gate().wait()  # the socket's buffer is full and stays full

    async with open_client(app):
        await app(scope, receive, send)
    assert list(engine.ended.values()) == ["cancelled"]


def _raw_request(body: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], Any]]:
    content = json.dumps(body).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": URL,
        "raw_path": URL.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await Gate().wait()  # the client stays

    return scope, receive


# --- accounting -----------------------------------------------------------------------------------------------------


async def test_turns_and_tokens_show_in_the_metrics(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await ask(client)
    engine.script = (QueueFull("Full."),)
    await client.post(URL, json=chat())
    text = (await client.get("/metrics")).text
    assert 'turkish_ai_turns_total{outcome="stop",sector="finance_banking"} 1.0' in text
    assert 'turkish_ai_turns_total{outcome="refused",sector="finance_banking"} 1.0' in text
    assert 'turkish_ai_tokens_total{kind="completion",sector="finance_banking"} 4.0' in text
    assert 'turkish_ai_http_requests_total{method="POST",route="/v1/chat/completions",status="503"} 1.0' in text


async def test_no_log_line_holds_what_was_asked_or_answered(
    app: FastAPI, engine: FakeEngine, router: FakeRouter, logs: list[Any]
) -> None:
    engine.script = ("gizli yanıt", RuntimeError("bug"))
    async with open_client(app) as client:
        await client.post(URL, json=chat(messages=[{"role": "user", "content": "kredi gizli soru"}]))
        await client.post(URL, json=chat(messages=[{"role": "user", "content": 5, "gizli": "gizli"}]))
    assert logs
    assert "gizli" not in str([{k: v for k, v in line.items() if k != "exc_info"} for line in logs])
