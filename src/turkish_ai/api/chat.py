"""`POST /v1/chat/completions`, as OpenAI's API has it, streamed or whole.

Called by OpenAI's SDKs and the web page. Turns wire requests into turns and turns into OpenAI's objects; the
`turkish_ai` object and the `x-turkish-ai-*` headers say which sector, adapter and engine answered. Knows nothing of
how a turn is answered.
"""

import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from turkish_ai.api.answers import Answers, json_response, logprobs_object, to_json, usage_object
from turkish_ai.api.disconnect import UntilClientGone
from turkish_ai.api.errors import ErrorWriter
from turkish_ai.api.event_stream import DONE, EventStream
from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.api.openapi import ChatCompletion, refusals, takes
from turkish_ai.api.strict_json import read_object
from turkish_ai.api.wire import ChatCompletionRequest
from turkish_ai.assistant import Turn, TurnRequest
from turkish_ai.messages import FinishReason, TextDelta, TokenLogprob
from turkish_ai.settings import InferenceConfig

# Line ends to some readers of event streams, though not to the standard's; JSON leaves them as they are.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def add_routes(
    app: FastAPI, *, lifecycle: Lifecycle, inference: InferenceConfig, answers: Answers, errors: ErrorWriter
) -> None:
    @app.post(
        "/v1/chat/completions",
        tags=["OpenAI"],
        summary="Answer a conversation",
        responses={
            200: {
                "model": ChatCompletion,
                "description": "The answer; with `stream: true`, server-sent events of chat.completion.chunk objects.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **refusals(400, 404, 408, 413, 415, 422, 503),
        },
        openapi_extra=takes(ChatCompletionRequest),
    )
    async def create_chat_completion(request: Request) -> Response:
        assistant = lifecycle.assistant
        asked = ChatCompletionRequest.read_within(await read_object(request), inference.limits)
        turn_request = TurnRequest(
            id=uuid.uuid4().hex,
            model=asked.model,
            messages=asked.conversation(),
            sampling=asked.chat_sampling(inference),
            n=asked.n or 1,
        )
        async with UntilClientGone(request.receive):
            turn = await assistant.turn(turn_request)
            head = {
                "id": f"chatcmpl-{turn_request.id}",
                "created": int(time.time()),
                "model": turn.origin.model,
            }
            origin, headers = answers.origin(turn.origin), answers.headers(turn.origin)
            if not asked.stream:
                return json_response(
                    await _whole(turn, head=head, origin=origin, n=turn_request.n, logprobs=bool(asked.logprobs)),
                    headers=headers,
                )
        chunks = ChatChunks(
            head=head,
            origin=origin,
            n=turn_request.n,
            include_usage=asked.stream_options is not None and asked.stream_options.include_usage,
            turn=turn,
        )
        return EventStream(turn=turn, chunks=chunks, errors=errors, headers=headers)


@dataclass(slots=True)
class Choice:
    """One answer, put together again from its pieces."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def add(self, delta: TextDelta) -> None:
        self.texts.append(delta.text)
        self.logprobs.extend(delta.logprobs)
        self.finish_reason = delta.finish_reason or self.finish_reason

    @property
    def text(self) -> str:
        return "".join(self.texts)


async def collect(turn: Turn, *, n: int) -> list[Choice]:
    """Every answer of the turn, complete; the turn is closed."""
    choices = [Choice() for _ in range(n)]
    async with aclosing(turn):
        async for delta in turn:
            choices[delta.index].add(delta)
    return choices


async def _whole(turn: Turn, *, head: dict[str, Any], origin: dict[str, Any], n: int, logprobs: bool) -> dict[str, Any]:
    choices = await collect(turn, n=n)
    assert turn.usage is not None
    return {
        **head,
        "object": "chat.completion",
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": logprobs_object(choice.logprobs) if logprobs else None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(choices)
        ],
        "usage": usage_object(turn.usage),
        "turkish_ai": origin,
    }


class ChatChunks:
    """Writes a turn as chat.completion.chunk events: roles, texts, a finish for each answer, and the usage if asked."""

    def __init__(
        self, *, head: dict[str, Any], origin: dict[str, Any], n: int, include_usage: bool, turn: Turn
    ) -> None:
        self._start = "data: " + to_json({**head, "object": "chat.completion.chunk"})[:-1] + ',"choices":['
        self._end = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self._origin = ',"turkish_ai":' + to_json(origin)
        self._include_usage = include_usage
        self._n = n
        self._turn = turn

    def opening(self) -> bytes:
        return "".join(
            self._event(_choice(index, '{"role":"assistant","content":"","refusal":null}'), with_origin=index == 0)
            for index in range(self._n)
        ).encode()

    def delta(self, delta: TextDelta) -> bytes:
        events = ""
        if delta.text or delta.logprobs:
            logprobs = to_json(logprobs_object(delta.logprobs)) if delta.logprobs else "null"
            events = self._event(_choice(delta.index, f'{{"content":{_text(delta.text)}}}', logprobs=logprobs))
        if delta.finish_reason is not None:
            is_last = delta.usage is not None and not self._include_usage
            events += self._event(
                _choice(delta.index, "{}", finish_reason=f'"{delta.finish_reason}"'), with_origin=is_last
            )
        return events.encode()

    def closing(self) -> bytes:
        if not self._include_usage:
            return DONE
        assert self._turn.usage is not None
        usage = to_json(usage_object(self._turn.usage))
        return f'{self._start}],"usage":{usage}{self._origin}}}\n\n'.encode() + DONE

    def _event(self, choice: str, *, with_origin: bool = False) -> str:
        if not with_origin:
            return self._start + choice + self._end
        return self._start + choice + self._end.replace("}\n\n", self._origin + "}\n\n")


def _choice(index: int, delta: str, *, logprobs: str = "null", finish_reason: str = "null") -> str:
    return f'{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish_reason}}}'


def _text(text: str) -> str:
    encoded = to_json(text)
    if not encoded.isascii():
        for character, escape in _LINE_ENDS.items():
            if character in encoded:
                encoded = encoded.replace(character, escape)
    return encoded
