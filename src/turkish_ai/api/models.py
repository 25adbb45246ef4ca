"""`GET /v1/models`: what may stand in a request's `model`.

`auto`, `base`, `general` and every sector; `root` and `parent` say what a model is made of, as vLLM reports it for
adapters, and `turkish_ai.available` whether a question for it would be answered. Knows nothing of what is in memory.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from turkish_ai.api.answers import json_response
from turkish_ai.api.openapi import ModelCard, ModelList, refusals
from turkish_ai.assistant import AUTO, BASE, Catalog
from turkish_ai.engines.adapters import CatalogEntry
from turkish_ai.errors import UnknownModel
from turkish_ai.messages import GENERAL

OWNER = "turkish-ai"


def add_routes(app: FastAPI, *, catalog: Catalog, base_model: str, created: int, blocking: Executor) -> None:
    """`created` is what every model reports as its time, in seconds of the epoch: the server's start."""

    async def cards() -> list[dict[str, Any]]:
        entries = await asyncio.get_running_loop().run_in_executor(blocking, catalog.entries)
        return _cards(entries, base_model=base_model, created=created)

    @app.get("/v1/models", tags=["OpenAI"], summary="List the models", responses={200: {"model": ModelList}})
    async def list_models() -> Response:
        return json_response({"object": "list", "data": await cards()})

    @app.get(
        "/v1/models/{model_id}",
        tags=["OpenAI"],
        summary="One model",
        responses={200: {"model": ModelCard}, **refusals(404)},
    )
    async def get_model(model_id: str) -> Response:
        for card in await cards():
            if model_id in (card["id"], card["root"]):
                return json_response(card)
        raise UnknownModel(
            f"Model {model_id[:80]!r} is not served here.", remedy="GET /v1/models lists the models.", param="model"
        )


def _cards(entries: Sequence[CatalogEntry], *, base_model: str, created: int) -> list[dict[str, Any]]:
    def card(model_id: str, *, root: str | None, parent: str | None, available: bool = True) -> dict[str, Any]:
        return {
            "id": model_id,
            "object": "model",
            "created": created,
            "owned_by": OWNER,
            "root": root,
            "parent": parent,
            "turkish_ai": {"available": available},
        }

    def sector_card(entry: CatalogEntry) -> dict[str, Any]:
        if entry.ref is not None:
            return card(entry.sector, root=f"{entry.sector}@{entry.ref.version}", parent=BASE)
        if entry.sector == GENERAL and entry.folder is None:
            return card(GENERAL, root=base_model, parent=None)  # the base model answers as it is
        return card(entry.sector, root=None, parent=BASE, available=False)

    in_order = sorted(entries, key=lambda entry: (entry.sector != GENERAL, entry.sector))
    return [
        card(AUTO, root=base_model, parent=None),
        card(BASE, root=base_model, parent=None),
        *(sector_card(entry) for entry in in_order),
    ]
