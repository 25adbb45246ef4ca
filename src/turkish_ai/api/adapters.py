"""See, load and unload adapters while the server runs.

Calls that change something need the admin key. Knows nothing of what an adapter holds: the engine reads and refuses
it, the catalogue says which folder serves which sector.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar

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
from turkish_ai.engines.adapters import CatalogEntry
from turkish_ai.engines.engine import Engine, ResidentAdapter
from turkish_ai.errors import AdapterInUse, AdapterNotFound, AdapterRefused, AdapterShared, UnknownSector
from turkish_ai.messages import AdapterRef
from turkish_ai.settings import is_sector_or_general

_TAG = "Adapters"
_T = TypeVar("_T")


def add_routes(
    app: FastAPI,
    *,
    lifecycle: Lifecycle,
    catalog: Catalog,
    configured: Mapping[str, str | None],
    gate: AdminGate,
    answers: Answers,
    blocking: Executor,
) -> None:
    """`configured` maps each sector to the folder that it gets back at a restart."""

    async def off_loop(work: Callable[..., _T], *given: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(blocking, work, *given)

    def card(entry: CatalogEntry, residents: Sequence[ResidentAdapter]) -> dict[str, Any]:
        ref, error = entry.ref, entry.error
        resident = next((r for r in residents if ref is not None and r.ref.sha256 == ref.sha256), None)
        return {
            "sector": entry.sector,
            "sector_name": answers.sector_name(entry.sector),
            "folder": entry.folder,
            "until_restart": entry.folder != configured.get(entry.sector),
            "version": ref.version if ref else None,
            "sha256": ref.sha256 if ref else None,
            **_memory(resident),
            "error": error_object(error)["error"] if error else None,
        }

    @app.get("/adapters", tags=[_TAG], summary="List the sectors' adapters", responses={200: {"model": AdapterList}})
    async def list_adapters() -> Response:
        residents = lifecycle.assistant.engine.adapters()
        entries = await off_loop(catalog.entries)
        left_over = [_left_over_card(resident) for resident in _unserved(residents, entries)]
        return json_response({"adapters": [*(card(entry, residents) for entry in entries), *left_over]})

    @app.post(
        "/adapters",
        tags=[_TAG],
        summary="Load a sector's adapter, or give the sector another one until the restart",
        responses={200: {"model": AdapterCard}, **refusals(400, 401, 403, 404, 408, 413, 415, 422, 503)},
        openapi_extra={**takes(AdapterRequest), **NEEDS_ADMIN_KEY},
    )
    async def load_adapter(request: Request) -> Response:
        gate.check(request)
        engine = lifecycle.assistant.engine
        asked = AdapterRequest.read(await read_object(request))
        _require_sector(asked.sector)
        before = _entry_of(asked.sector, await off_loop(catalog.entries)).ref
        if asked.folder is None:
            ref = await off_loop(partial(_find, catalog, asked.sector, again=True))
            try:
                resident = await engine.load(ref, pinned=asked.pinned)
            except AdapterRefused as error:
                catalog.refuse(ref, error)
                raise
        else:
            # The engine first: a folder that it refuses must not take the place of what serves the sector now.
            ref = await off_loop(catalog.candidate, asked.sector, asked.folder)
            resident = await engine.load(ref, pinned=asked.pinned)
            await off_loop(catalog.assign, asked.sector, asked.folder)
        entries = await off_loop(catalog.entries)
        for old in _unserved(engine.adapters(), entries):
            if _was_of(old, asked.sector, before):
                await _release(engine, old)
        return json_response(card(_entry_of(asked.sector, entries), [*engine.adapters(), resident]))

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
        entries = await off_loop(catalog.entries)
        own = _entry_of(sector, entries).ref
        others = {entry.sector: entry.ref for entry in entries if entry.sector != sector}
        residents = engine.adapters()
        if own is not None and any(resident.ref.sha256 == own.sha256 for resident in residents):
            sharing = [other for other, ref in others.items() if ref is not None and ref.sha256 == own.sha256]
            if sharing:
                raise AdapterShared(
                    f"The adapter of {sector!r} also serves {', '.join(sharing)}.",
                    remedy='POST /adapters with "pinned": false lets it make room when room is needed.',
                )
        # What the sector had before its files changed, too: no question can ask for it any more.
        unloaded = [r for r in _unserved(residents, entries) if _was_of(r, sector, own)]
        unloaded += [r for r in residents if own is not None and r.ref.sha256 == own.sha256]
        if not unloaded:
            await off_loop(partial(_find, catalog, sector))  # says so if there is no adapter at all
            raise AdapterNotFound(
                f"The adapter of {sector!r} is not in memory.", remedy="GET /adapters lists what is.", param="sector"
            )
        for resident in unloaded:
            await engine.unload(resident.ref.sha256)
        return json_response({"sector": sector, "unloaded": [resident.ref.version for resident in unloaded]})


def _find(catalog: Catalog, sector: str, *, again: bool = False) -> AdapterRef:
    try:
        return catalog.find(sector, again=again)
    except AdapterNotFound as error:
        error.param = "sector"
        error.remedy = f"Name the folder of one, or train one: turkish-ai train {sector}."
        raise


async def _release(engine: Engine, old: ResidentAdapter) -> None:
    """Take it out of memory, or let it go when its last request has ended and room is needed."""
    try:
        await engine.unload(old.ref.sha256)
    except AdapterNotFound:
        pass  # it made room meanwhile
    except AdapterInUse:
        if old.pinned:
            await engine.load(old.ref, pinned=False)  # in memory, so nothing is read


def _unserved(residents: Sequence[ResidentAdapter], entries: Sequence[CatalogEntry]) -> list[ResidentAdapter]:
    """What is in memory and no sector would be answered with."""
    served = {entry.ref.sha256 for entry in entries if entry.ref is not None}
    return [resident for resident in residents if resident.ref.sha256 not in served]


def _was_of(resident: ResidentAdapter, sector: str, ref: AdapterRef | None) -> bool:
    """It was loaded for the sector, or lies where `ref` lies, or is `ref` under the name of another sector."""
    if resident.ref.name == sector:
        return True
    return ref is not None and (resident.ref.path == ref.path or resident.ref.sha256 == ref.sha256)


def _entry_of(sector: str, entries: Sequence[CatalogEntry]) -> CatalogEntry:
    return next(entry for entry in entries if entry.sector == sector)


def _left_over_card(resident: ResidentAdapter) -> dict[str, Any]:
    return {
        "sector": None,
        "sector_name": None,
        "folder": None,
        "until_restart": False,
        "version": resident.ref.version,
        "sha256": resident.ref.sha256,
        **_memory(resident),
        "error": None,
    }


def _memory(resident: ResidentAdapter | None) -> dict[str, Any]:
    return {
        "resident": resident is not None,
        "loaded_for": resident.ref.name if resident else None,
        "pinned": resident.pinned if resident else False,
        "users": resident.users if resident else 0,
        "bytes": resident.bytes if resident else 0,
        "rank": resident.rank if resident else 0,
    }


def _require_sector(sector: str) -> None:
    if not is_sector_or_general(sector):
        raise UnknownSector(
            f"{sector[:80]!r} is not a sector that can have an adapter.",
            remedy="GET /sectors lists them.",
            param="sector",
        )
