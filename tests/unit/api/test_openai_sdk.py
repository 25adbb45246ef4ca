"""OpenAI's own client, unchanged, against the server on a real socket."""

from collections.abc import AsyncIterator

import openai
import pytest
from fastapi import FastAPI

from tests.fakes.engine import FakeEngine, Gate
from tests.fakes.server import LiveServer, serve
from tests.unit.api.conftest import QUESTION
from turkish_ai.errors import GenerationFailed


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[LiveServer]:
    async with serve(app) as live:
        yield live


@pytest.fixture
async def sdk(server: LiveServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


async def test_a_completion(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="auto", messages=QUESTION, temperature=0.2, max_tokens=16)
    assert answer.choices[0].message.content == "Merhaba, dünya."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 14
    assert answer._request_id
    assert answer.turkish_ai["sector"] == "finance_banking"


async def test_a_conversation_that_carries_the_answer_on(sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    answer = await sdk.chat.completions.create(model="auto", messages=QUESTION)
    messages = [*QUESTION, answer.choices[0].message, {"role": "user", "content": "kredi faizi?"}]
    await sdk.chat.completions.create(model="auto", messages=messages)
    assert engine.requests[1].messages[1].content == "Merhaba, dünya."


async def test_a_stream_with_usage(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="auto", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Merhaba, dünya."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4


async def test_words_arrive_while_the_answer_is_being_written(sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    gate = Gate()
    engine.script = ("İlk", gate, " son")
    stream = await sdk.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    texts = []
    async for chunk in stream:
        if text := chunk.choices[0].delta.content:
            texts.append(text)
            gate.open()  # only now may the engine go on: the first word was not held back
    assert texts == ["İlk", " son"]


async def test_stopping_to_read_ends_the_answer(sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.script = ("bir", Gate(), "iki")
    stream = await sdk.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await engine.one_ended.wait()
    assert list(engine.ended.values()) == ["cancelled"]


async def test_errors_are_the_sdks_own_types(sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    with pytest.raises(openai.BadRequestError) as unsupported:
        await sdk.chat.completions.create(
            model="auto",
            messages=QUESTION,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )
    assert (unsupported.value.code, unsupported.value.param) == ("unsupported_parameter", "tools")
    with pytest.raises(openai.NotFoundError):
        await sdk.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.UnprocessableEntityError):
        await sdk.chat.completions.create(model="auto", messages=QUESTION, temperature=7)
    engine.capacity = 0
    with pytest.raises(openai.InternalServerError) as full:
        await sdk.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    assert full.value.status_code == 503
    assert full.value.response.headers["retry-after"] == "7"


async def test_a_stream_that_fails_raises_in_the_sdk(sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.script = ("yarım", GenerationFailed("The step failed."))
    stream = await sdk.chat.completions.create(model="auto", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError, match="The step failed"):
        async for _ in stream:
            pass


async def test_the_models_are_listed_and_found(sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in sdk.models.list()]
    assert listed[:3] == ["auto", "base", "general"]
    assert len(listed) == 25
    assert (await sdk.models.retrieve("finance_banking")).id == "finance_banking"
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve("gpt-4o")
