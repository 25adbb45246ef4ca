"""See, load and unload adapters while the server runs.

Admin calls need the configured key; without one they are taken from this machine alone. Knows nothing of what an
adapter holds: the engine reads and refuses it, the catalogue says which folder serves which sector.
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from turkish_ai.api.answers import Answers, json_response
from turkish_ai.api.errors import error_object
from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.api.openapi import AdapterCard, AdapterList, AdapterRemoved, refusals, takes
from turkish_ai.api.strict_json import read_object
from turkish_ai.api.wire import AdapterRequest
from turkish_ai.assistant import Catalog
from turkish_ai.engines.adapters import CatalogEntry, content_sha256, resolve_inside
from turkish_ai.engines.engine import ResidentAdapter
from turkish_ai.errors import AdapterNotFound, AdminFromElsewhere, AdminKeyWrong, UnknownSector
from turkish_ai.messages import AdapterRef
from turkish_ai.settings import is_sector_or_general

_TAG = "Adapters"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class AdminGate:
    """Lets through who may change what the server serves."""

    def __init__(self, key: SecretStr | None) -> None:
        self._key = key.get_secret_value().encode() if key is not None else None

    def check(self, request: Request) -> None:
        """Raises AdminKeyWrong, or AdminFromElsewhere when there is no key and the caller is not on this machine."""
        if self._key is not None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.casefold() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._key):
                raise AdminKeyWrong(
                    "The admin key is missing or wrong.", remedy="Send Authorization: Bearer <TURKISH_AI_ADMIN_KEY>."
                )
        elif not _from_this_machine(request):
            raise AdminFromElsewhere(
                "No admin key is configured, so admin calls are taken from this machine only.",
                remedy="Set TURKISH_AI_ADMIN_KEY on the server and send it as a bearer token.",
            )


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
        openapi_extra=takes(AdapterRequest),
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


def _from_this_machine(request: Request) -> bool:
    """The peer and the host that it asked for are loopback, and no proxy speaks for someone else.

    The host is checked because a page in a browser on this machine can point its own name at 127.0.0.1.
    """
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(request.client.host) and _is_loopback(_asked_host(request))


def _asked_host(request: Request) -> str:
    try:
        return urlsplit("//" + request.headers.get("host", "")).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
