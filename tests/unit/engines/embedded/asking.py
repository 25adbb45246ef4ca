"""Short ways to ask an engine and to collect what it answers."""

import itertools
from dataclasses import dataclass, field

from turkish_ai.engines.engine import Engine
from turkish_ai.messages import AdapterRef, GenerationRequest, Message, Sampling, TextDelta

_ids = itertools.count()


@dataclass(slots=True)
class Collected:
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    deltas: list[TextDelta] = field(default_factory=list)


def question(text: str, *, adapter: AdapterRef | None = None, n: int = 1, **sampling: object) -> GenerationRequest:
    return GenerationRequest(
        request_id=f"r{next(_ids)}",
        messages=(Message(role="user", content=text),),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
        adapter=adapter,
        n=n,
    )


async def ask_all(engine: Engine, request: GenerationRequest) -> list[Collected]:
    answers = [Collected() for _ in range(request.n)]
    async for delta in engine.generate(request):
        answer = answers[delta.index]
        answer.deltas.append(delta)
        answer.text += delta.text
        answer.tokens += delta.token_ids
        answer.finish_reason = delta.finish_reason or answer.finish_reason
    return answers


async def ask(engine: Engine, request: GenerationRequest) -> Collected:
    return (await ask_all(engine, request))[0]
