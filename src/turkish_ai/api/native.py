"""The server's own routes: one question and its answer, a text's sector, and the sectors there are.

For callers who want no conversation and no OpenAI objects. Knows nothing of how a turn is answered.
"""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from turkish_ai.api.answers import Answers, json_response, usage_object
from turkish_ai.api.chat import collect
from turkish_ai.api.disconnect import UntilClientGone
from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.api.openapi import ClassifyAnswer, InferAnswer, SectorList, refusals, takes
from turkish_ai.api.strict_json import read_object
from turkish_ai.api.wire import ClassifyRequest, InferRequest, require_text
from turkish_ai.assistant import AUTO, Catalog, Turn, TurnRequest
from turkish_ai.engines.adapters import CatalogEntry
from turkish_ai.errors import AdapterNotFound, ContextLengthExceeded, TurkishAiError, UnknownModel, UnknownSector
from turkish_ai.messages import GENERAL, Message
from turkish_ai.settings import General, ModelConfig, Sector, is_sector_or_general

_TAG = "Native"


def add_routes(
    app: FastAPI, *, lifecycle: Lifecycle, config: ModelConfig, catalog: Catalog, answers: Answers, blocking: Executor
) -> None:
    @app.post(
        "/infer",
        tags=[_TAG],
        summary="Answer one question",
        responses={200: {"model": InferAnswer}, **refusals(400, 404, 408, 413, 415, 422, 503)},
        openapi_extra=takes(InferRequest),
    )
    async def infer(request: Request) -> Response:
        assistant = lifecycle.assistant
        asked = InferRequest.read(await read_object(request))
        require_text(asked.text)
        if asked.sector is not None:
            _require_sector(asked.sector)
        turn_request = TurnRequest(
            id=uuid.uuid4().hex,
            model=asked.sector or AUTO,
            messages=(Message(role="user", content=asked.text),),
            sampling=asked.sampling(config.inference),
        )
        async with UntilClientGone(request.receive):
            try:
                turn = await assistant.turn(turn_request)
            except (AdapterNotFound, UnknownModel, ContextLengthExceeded) as error:
                raise _in_this_routes_words(error) from error
            return json_response(await _infer_object(turn, answers), headers=answers.headers(turn.origin))

    @app.post(
        "/classify",
        tags=[_TAG],
        summary="Find a text's sector",
        responses={200: {"model": ClassifyAnswer}, **refusals(400, 408, 413, 415, 503)},
        openapi_extra=takes(ClassifyRequest),
    )
    async def classify(request: Request) -> Response:
        assistant = lifecycle.assistant
        asked = ClassifyRequest.read(await read_object(request))
        require_text(asked.text)
        choice, _ = await assistant.choose_sector(asked.text)
        found = answers.choice(choice)
        if asked.evidence:
            found["evidence"] = list(choice.evidence)
        return json_response(found)

    @app.get("/sectors", tags=[_TAG], summary="List the sectors", responses={200: {"model": SectorList}})
    async def list_sectors() -> Response:
        entries = await asyncio.get_running_loop().run_in_executor(blocking, catalog.entries)
        return json_response({"sectors": _sector_cards(config, entries)})


async def _infer_object(turn: Turn, answers: Answers) -> dict[str, Any]:
    (choice,) = await collect(turn, n=1)
    assert turn.usage is not None
    timings = turn.timings
    return {
        "text": choice.text,
        **answers.origin(turn.origin),
        "model": turn.origin.model,
        "finish_reason": choice.finish_reason,
        "usage": usage_object(turn.usage),
        "timings": {
            "queued_ms": _ms(timings.queued_s if timings else 0.0),
            "first_token_ms": _ms(timings.first_token_s if timings else 0.0),
            "total_ms": _ms(timings.total_s if timings else 0.0),
            "routing_ms": _ms(turn.origin.routing_s),
        },
    }


def _in_this_routes_words(error: TurkishAiError) -> TurkishAiError:
    """The field and the way out, as this route has them: no `model` and no conversation."""
    if isinstance(error, ContextLengthExceeded):
        return type(error)(error.message, remedy="Shorten the text or lower max_tokens.", param="text")
    remedy = error.remedy
    if isinstance(error, AdapterNotFound):
        remedy = "Leave sector out, and whichever adapter fits the question answers."
    return type(error)(error.message, remedy=remedy, param="sector")


def _require_sector(sector: str) -> None:
    if not is_sector_or_general(sector.partition("@")[0]):
        raise UnknownSector(
            f"Sector {sector[:80]!r} is not one of ours.", remedy="GET /sectors lists them.", param="sector"
        )


def _sector_cards(config: ModelConfig, entries: Sequence[CatalogEntry]) -> list[dict[str, Any]]:
    by_sector = {entry.sector: entry for entry in entries}
    cards = [_sector_card(sector.id, sector, by_sector.get(sector.id)) for sector in config.sectors]
    return [*cards, _sector_card(GENERAL, config.general, by_sector.get(GENERAL))]


def _sector_card(sector_id: str, sector: Sector | General, entry: CatalogEntry | None) -> dict[str, Any]:
    ref = entry.ref if entry else None
    error = entry.error if entry else None
    return {
        "id": sector_id,
        "name_tr": sector.name_tr,
        "name_en": sector.name_en,
        "description_tr": sector.description_tr,
        "description_en": sector.description_en,
        "adapter": ref is not None,
        "version": ref.version if ref else None,
        "problem": None if error is None or isinstance(error, AdapterNotFound) else error.message,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
