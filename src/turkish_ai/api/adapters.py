"""See, load and unload adapters while the server runs.

Calls that change something need the admin key. Knows nothing of what an adapter holds: the engine reads and refuses
it, the catalogue says which folder serves which sector.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from turkish_ai.api.admin import AdminGate
from turkish_ai.api.answers import Answers, json_response
from turkish_ai.api.errors import error_object
from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.api.openapi import NEEDS_ADMIN_KEY, AdapterCard, AdapterList, AdapterRemoved, refusals, takes
from turkish_ai.api.strict_json import read_object
from turkish_ai.api.wire import AdapterRequest
from turkish_ai.assistant import Catalog
from turkish_ai.engines.adapters import CatalogEntry, content_sha256, resolve_inside
from turkish_ai.engines.engine import ResidentAdapter
from turkish_ai.errors import AdapterNotFound, UnknownSector
from turkish_ai.messages import AdapterRef
from turkish_ai.settings import is_sector_or_general

_TAG = "Adapters"


def add_routes(
    app: FastAPI,
    *,
    lifecycle: Lifecycle,
    catalog: Catalog,
    adapters_dir: Path,
    gate: AdminGate,
    answers: Answers,
    blocking: Executor,
) -> None:
    @app.get("/adapters", tags=[_TAG], summary="List the sectors' adapters", responses={200: {"model": AdapterList}})
    async def list_adapters() -> Response:
        residents = lifecycle.assistant.engine.adapters()
        entries = await asyncio.get_running_loop().run_in_executor(blocking, catalog.entries)
        return json_response({"adapters": [_card(entry, residents, answers) for entry in entries]})

    @app.post(
        "/adapters",
        tags=[_TAG],
        summary="Load a sector's adapter, or give the sector another one",
        responses={200: {"model": AdapterCard}, **refusals(400, 401, 403, 404, 408, 413, 415, 422, 503)},
        openapi_extra={**takes(AdapterRequest), **NEEDS_ADMIN_KEY},
    )
    async def load_adapter(request: Request) -> Response:
        gate.check(request)
        engine = lifecycle.assistant.engine
        asked = AdapterRequest.read(await read_object(request))
        _require_sector(asked.sector)
        loop = asyncio.get_running_loop()
        if asked.folder is None:
            ref = await loop.run_in_executor(blocking, catalog.find, asked.sector)
            resident = await engine.load(ref, pinned=asked.pinned)
        else:
            # The engine first: a folder that it refuses must not take the place of what serves the sector now.
            ref = await loop.run_in_executor(blocking, _candidate, adapters_dir, asked.sector, asked.folder)
            resident = await engine.load(ref, pinned=asked.pinned)
            ref = await loop.run_in_executor(blocking, catalog.assign, asked.sector, asked.folder)
        entries = await loop.run_in_executor(blocking, catalog.entries)
        entry = next(entry for entry in entries if entry.sector == asked.sector)
        return json_response(_card(entry, [*engine.adapters(), resident], answers))

    @app.delete(
        "/adapters/{sector}",
        tags=[_TAG],
        summary="Give an adapter's memory back; the next question for the sector loads it again",
        responses={200: {"model": AdapterRemoved}, **refusals(401, 403, 404, 409, 503)},
        openapi_extra=NEEDS_ADMIN_KEY,
    )
    async def unload_adapter(sector: str, request: Request) -> Response:
        gate.check(request)
        engine = lifecycle.assistant.engine
        _require_sector(sector)
        ref = await asyncio.get_running_loop().run_in_executor(blocking, catalog.find, sector)
        # By its path too: its files may have changed since it was loaded, and then its hash is another.
        residents = [r for r in engine.adapters() if r.ref.sha256 == ref.sha256 or r.ref.path == ref.path]
        if not residents:
            raise AdapterNotFound(f"The adapter of {sector!r} is not in memory.", remedy="GET /adapters lists what is.")
        for resident in residents:
            await engine.unload(resident.ref.sha256)
        return json_response({"sector": sector, "unloaded": [resident.ref.version for resident in residents]})


def _candidate(adapters_dir: Path, sector: str, folder: str) -> AdapterRef:
    path = resolve_inside(adapters_dir, folder)
    if not path.is_dir():
        raise AdapterNotFound(
            f"There is no folder {folder[:80]!r} in the adapters directory.",
            remedy="Copy the PEFT directory there first.",
            param="folder",
        )
    return AdapterRef(name=sector, sha256=content_sha256(path), path=path)


def _card(entry: CatalogEntry, residents: Sequence[ResidentAdapter], answers: Answers) -> dict[str, Any]:
    ref = entry.ref
    resident = next((r for r in residents if ref is not None and r.ref.sha256 == ref.sha256), None)
    return {
        "sector": entry.sector,
        "sector_name": answers.sector_name(entry.sector),
        "folder": entry.folder,
        "version": ref.version if ref else None,
        "sha256": ref.sha256 if ref else None,
        "resident": resident is not None,
        "pinned": resident.pinned if resident else False,
        "users": resident.users if resident else 0,
        "bytes": resident.bytes if resident else 0,
        "rank": resident.rank if resident else 0,
        "error": error_object(entry.error)["error"] if entry.error else None,
    }


def _require_sector(sector: str) -> None:
    if not is_sector_or_general(sector):
        raise UnknownSector(
            f"{sector[:80]!r} is not a sector that can have an adapter.",
            remedy="GET /sectors lists them.",
            param="sector",
        )
