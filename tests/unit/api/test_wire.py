"""Every refusal of a chat request by its field, as a caller sees it over HTTP."""

from typing import Any, get_type_hints

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionAssistantMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from tests.fakes.engine import FakeEngine
from tests.unit.api.conftest import CONFIG, QUESTION, chat
from turkish_ai.api.wire import ChatCompletionRequest, ChatMessage
from turkish_ai.errors import TurkishAiError
from turkish_ai.messages import Message
from turkish_ai.settings import load_model_config


def message(**fields: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": "soru", **fields}])


WRONG = {
    # what is sent: (status, code, param, words of the message)
    "no model": ({"messages": QUESTION}, 400, "invalid_request", "model", "model is missing"),
    "no messages": ({"model": "auto"}, 400, "invalid_request", "messages", "messages is missing"),
    "empty messages": (chat(messages=[]), 400, "invalid_request", "messages", "empty"),
    "messages as text": (chat(messages="soru"), 400, "invalid_request", "messages", "expected a list"),
    "a message as text": (chat(messages=["soru"]), 400, "invalid_request", "messages.0", "expected an object"),
    "no user message": (
        chat(messages=[{"role": "system", "content": "x"}]),
        400,
        "invalid_request",
        "messages",
        "no user message",
    ),
    "an empty question": (message(content="  \n "), 400, "invalid_request", "messages.0", "is empty"),
    "empty parts": (message(content=[]), 400, "invalid_request", "messages.0", "is empty"),
    "null content": (message(content=None), 400, "invalid_request", "messages.0.content", "null"),
    "a number as content": (message(content=5), 400, "invalid_request", "messages.0.content", "expected a text"),
    "an unknown role": (message(role="pirate"), 400, "invalid_request", "messages.0.role", "pirate"),
    "a tool's message": (message(role="tool"), 400, "unsupported_parameter", "messages.0.role", "tool"),
    "a picture": (
        message(content=[{"type": "image_url", "image_url": {"url": "x"}}]),
        400,
        "unsupported_parameter",
        "messages.0.content.0.image_url",
        "image_url",
    ),
    "a part of unknown type": (
        message(content=[{"type": "smell", "text": "x"}]),
        400,
        "invalid_request",
        "messages.0.content.0.type",
        "is 'smell'; expected 'text'.",
    ),
    "a field without a name": (chat(**{"": 1}), 400, "unknown_parameter", "", "'' is not a field"),
    "a field with a strange name": (chat(**{"a b": 1}), 400, "unknown_parameter", "a b", "'a b' is not a field"),
    "tool calls": (
        message(tool_calls=[{"id": "1"}]),
        400,
        "unsupported_parameter",
        "messages.0.tool_calls",
        "tool_calls",
    ),
    "an unknown field of a message": (message(mood="sad"), 400, "unknown_parameter", "messages.0.mood", "mood"),
    "a misspelt field": (chat(temprature=1), 400, "unknown_parameter", "temprature", "Did you mean temperature?"),
    "tools": (chat(tools=[{"type": "function"}]), 400, "unsupported_parameter", "tools", "tools"),
    "a JSON answer": (
        chat(response_format={"type": "json_object"}),
        400,
        "unsupported_parameter",
        "response_format",
        "response_format",
    ),
    "audio": (chat(audio={"voice": "x"}), 400, "unsupported_parameter", "audio", "audio"),
    "a logit bias": (chat(logit_bias={"5": 1}), 400, "unsupported_parameter", "logit_bias", "logit_bias"),
    "storing": (chat(store=True), 400, "unsupported_parameter", "store", "store"),
    "temperature as text": (chat(temperature="hot"), 400, "invalid_request", "temperature", "expected a number"),
    "temperature as truth": (chat(temperature=True), 400, "invalid_request", "temperature", "expected a number"),
    "temperature too high": (chat(temperature=2.5), 422, "value_out_of_range", "temperature", "0 to 2"),
    "temperature below zero": (chat(temperature=-1), 422, "value_out_of_range", "temperature", "0 to 2"),
    "top_p of zero": (chat(top_p=0), 422, "value_out_of_range", "top_p", "above 0 to 1"),
    "top_k below zero": (chat(top_k=-1), 422, "value_out_of_range", "top_k", "0 to"),
    "min_p above one": (chat(min_p=1.1), 422, "value_out_of_range", "min_p", "0 to 1"),
    "repetition penalty": (chat(repetition_penalty=9), 422, "value_out_of_range", "repetition_penalty", "0.5 to 2"),
    "presence penalty": (chat(presence_penalty=-3), 422, "value_out_of_range", "presence_penalty", "-2 to 2"),
    "frequency penalty": (chat(frequency_penalty=3), 422, "value_out_of_range", "frequency_penalty", "-2 to 2"),
    "n of zero": (chat(n=0), 422, "value_out_of_range", "n", "1 or more"),
    "n above the limit": (chat(n=9), 422, "value_out_of_range", "n", "1 to 8"),
    "n as a fraction": (chat(n=1.5), 400, "invalid_request", "n", "whole number"),
    "max_tokens of zero": (chat(max_tokens=0), 422, "value_out_of_range", "max_tokens", "1 or more"),
    "max_tokens above the limit": (chat(max_tokens=5000), 422, "value_out_of_range", "max_tokens", "1 to 2048"),
    "max_completion_tokens above the limit": (
        chat(max_completion_tokens=5000),
        422,
        "value_out_of_range",
        "max_completion_tokens",
        "1 to 2048",
    ),
    "both names of max_tokens, apart": (
        chat(max_tokens=5, max_completion_tokens=6),
        400,
        "invalid_request",
        "max_completion_tokens",
        "Send one of them",
    ),
    "a seed of 64 bits": (chat(seed=2**63), 422, "value_out_of_range", "seed", "9223372036854775807"),
    "a stop that is a number": (chat(stop=5), 400, "invalid_request", "stop", "expected a list"),
    "a stop with a number": (chat(stop=["a", 5]), 400, "invalid_request", "stop.1", "expected a text"),
    "an empty stop": (chat(stop=""), 422, "value_out_of_range", "stop.0", "1 to 256"),
    "a long stop": (chat(stop=["ok", "x" * 257]), 422, "value_out_of_range", "stop.1", "1 to 256"),
    "many stops": (chat(stop=list("abcdefghi")), 422, "value_out_of_range", "stop", "at most 8"),
    "top_logprobs alone": (chat(top_logprobs=3), 400, "invalid_request", "top_logprobs", "logprobs: true"),
    "top_logprobs too many": (
        chat(logprobs=True, top_logprobs=21),
        422,
        "value_out_of_range",
        "top_logprobs",
        "0 to 20",
    ),
    "stream options without a stream": (
        chat(stream_options={"include_usage": True}),
        400,
        "invalid_request",
        "stream_options",
        "stream: true",
    ),
    "an unknown stream option": (
        chat(stream=True, stream_options={"speed": 1}),
        400,
        "unknown_parameter",
        "stream_options.speed",
        "speed",
    ),
    "stream as a text": (chat(stream="yes"), 400, "invalid_request", "stream", "true or false"),
    "metadata with numbers": (chat(metadata={"a": 1}), 400, "invalid_request", "metadata.a", "expected a text"),
    "much metadata": (
        chat(metadata={str(i): "" for i in range(17)}),
        422,
        "value_out_of_range",
        "metadata",
        "at most 16",
    ),
    "many messages": (chat(messages=QUESTION * 257), 422, "value_out_of_range", "messages", "1 to 256"),
    "an unknown model": (chat(model="gpt-4o"), 404, "model_not_found", "model", "/v1/models"),
    "a sector without an adapter": (chat(model="legal"), 404, "adapter_not_found", "model", "legal"),
    "another version": (chat(model="finance_banking@000"), 404, "model_not_found", "model", "is served with version"),
}


@pytest.mark.parametrize(("body", "status", "code", "param", "words"), WRONG.values(), ids=WRONG)
async def test_a_wrong_request_is_refused_by_field_and_reason(
    client: httpx.AsyncClient,
    engine: FakeEngine,
    body: dict[str, Any],
    status: int,
    code: str,
    param: str,
    words: str,
) -> None:
    response = await client.post("/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}
    assert engine.requests == []


async def test_a_hostile_number_of_unknown_fields_costs_one_error(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/chat/completions", json=chat(**{f"field{i}": i for i in range(50_000)}))
    assert response.status_code == 400
    assert len(response.content) < 1000


def test_every_field_of_openais_request_is_known_or_refused_by_name() -> None:
    known = set(ChatCompletionRequest.model_fields) | set(ChatCompletionRequest.openai_only)
    assert set(get_type_hints(CompletionCreateParamsBase)) <= known


def test_every_field_of_openais_messages_is_known_or_refused_by_name() -> None:
    known = set(ChatMessage.model_fields) | set(ChatMessage.openai_only)
    assert set(get_type_hints(ChatCompletionAssistantMessageParam)) <= known


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from([*ChatCompletionRequest.model_fields, *ChatCompletionRequest.openai_only, "other", ""])
INFERENCE = load_model_config(CONFIG).inference


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(FIELDS, ANY_JSON, max_size=3))
def test_no_value_of_any_field_does_more_than_be_refused(fields: dict[str, Any]) -> None:
    try:
        ChatCompletionRequest.read_within(chat(**fields), INFERENCE.limits).chat_sampling(INFERENCE)
    except TurkishAiError as refused:
        status, message = refused.http_status, str(refused)
    else:
        return
    assert status in (400, 422)
    assert 0 < len(message) < 400


async def test_null_and_values_that_ask_for_nothing_are_taken(client: httpx.AsyncClient) -> None:
    nothing = {name: (values[0] if values else None) for name, values in ChatCompletionRequest.openai_only.items()}
    for name, field in ChatCompletionRequest.model_fields.items():
        if not field.is_required():
            nothing[name] = None
    response = await client.post("/v1/chat/completions", json=chat(**nothing))
    assert response.status_code == 200


async def test_everything_that_is_carried_out_reaches_the_engine(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    body = chat(
        messages=[
            {"role": "developer", "content": "Kısa yanıtla."},
            {"role": "user", "content": [{"type": "text", "text": "kredi"}, {"type": "text", "text": "faizi?"}]},
            {"role": "assistant", "content": "Yüzde bir.", "refusal": None, "tool_calls": None},
            {"role": "user", "content": "kredi ne zaman biter?"},
        ],
        temperature=1,
        top_p=0.9,
        top_k=40,
        min_p=0.05,
        repetition_penalty=1.1,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        seed=-7,
        stop=["\n\n", "SON"],
        max_completion_tokens=33,
        n=2,
        logprobs=True,
        top_logprobs=2,
        user="u-1",
        metadata={"k": "v"},
    )
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    (request,) = engine.requests
    assert request.messages == (
        Message(role="system", content="Kısa yanıtla."),
        Message(role="user", content="kredi\nfaizi?"),
        Message(role="assistant", content="Yüzde bir."),
        Message(role="user", content="kredi ne zaman biter?"),
    )
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (1, 0.9, 40, 0.05)
    assert (sampling.repetition_penalty, sampling.frequency_penalty, sampling.presence_penalty) == (1.1, 0.5, -0.5)
    assert (sampling.seed, sampling.stop, sampling.max_tokens) == (-7, ("\n\n", "SON"), 33)
    assert (request.n, sampling.top_logprobs) == (2, 2)


async def test_what_is_left_out_takes_the_configured_default(client: httpx.AsyncClient, engine: FakeEngine) -> None:
    await client.post("/v1/chat/completions", json=chat(stop="SON", logprobs=True))
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.stop) == (0.0, 256, ("SON",))
    assert sampling.top_logprobs == 0
