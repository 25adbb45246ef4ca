"""`turkish-ai adapters`: which sector has which adapter, and whether each may be served.

`verify` reads every adapter whole, as the engine would; `read_all` is also the doctor's. Serves nothing and changes
nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.problem import sentence
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class, group_class
from turkish_ai.errors import AdapterError, AdapterNotFound, BaseModelUnavailable

if TYPE_CHECKING:
    from turkish_ai.engines.adapters import AdapterCatalog, AdapterRules, CatalogEntry
    from turkish_ai.settings import Settings

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading one sector's adapter: its rank and size, or the error that a request would get.

    `folder` is None where none is configured for the sector.
    """

    sector: str
    folder: str | None
    version: str | None = None
    rank: int | None = None
    memory_bytes: int | None = None
    error: AdapterError | None = None

    @property
    def is_none(self) -> bool:
        return self.folder is None

    @property
    def is_refused(self) -> bool:
        return self.error is not None and not self.is_none


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say
    group = typer.Typer(name="adapters", help=say(texts.ADAPTERS_HELP), cls=group_class(say.language))
    command = command_class(say.language)

    @group.command(name="list", help=say(texts.ADAPTERS_LIST_HELP), cls=command)
    def list_adapters(as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False) -> None:
        from turkish_ai.settings import load_settings

        settings = load_settings()
        entries = catalog_of(settings).entries()
        if as_json:
            terminal.json([_entry_object(entry) for entry in entries], indent=2)
            return
        _show_entries(entries, settings, terminal)

    @group.command(name="verify", help=say(texts.ADAPTERS_VERIFY_HELP), cls=command)
    def verify(
        context: typer.Context,
        sector: Annotated[
            list[str] | None,
            typer.Argument(metavar=say(texts.SECTOR_NAME), help=say(texts.ADAPTERS_SECTORS_HELP), show_default=False),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
    ) -> None:
        from turkish_ai.base_model import installed_base_model
        from turkish_ai.cli.base_model import base_model_source, base_rules
        from turkish_ai.settings import load_settings

        settings = load_settings()
        _require_known(sector or (), settings, context, say)
        model_dir = installed_base_model(base_model_source(settings), cache_dir=settings.cache_dir)
        if model_dir is None:
            raise BaseModelUnavailable(say(texts.ADAPTERS_NO_BASE), remedy=say(texts.RUN_SETUP))
        readings = list(read_all(catalog_of(settings), base_rules(settings, model_dir), only=sector or ()))
        if as_json:
            terminal.json([_reading_object(reading) for reading in readings], indent=2)
        else:
            _show_readings(readings, settings, terminal)
        if any(reading.is_refused for reading in readings):
            raise typer.Exit(1)

    app.add_typer(group, rich_help_panel=say(texts.HEADING_MODELS))


def catalog_of(settings: "Settings") -> "AdapterCatalog":
    from turkish_ai.engines.adapters import AdapterCatalog

    return AdapterCatalog(settings.adapters_dir, settings.config.adapter_folders)


def read_all(catalog: "AdapterCatalog", rules: "AdapterRules", *, only: Collection[str] = ()) -> Iterator[Reading]:
    """Read each configured adapter whole, one at a time. Sectors without one are left out, unless named in `only`."""
    from turkish_ai.engines.adapters import read_adapter

    for entry in catalog.entries():
        if (only and entry.sector not in only) or (not only and entry.folder is None):
            continue
        folder, ref = entry.folder, entry.ref
        if ref is None:
            yield Reading(sector=entry.sector, folder=folder, error=entry.error)
            continue
        try:
            weights = read_adapter(ref, rules)
        except AdapterError as error:
            yield Reading(sector=entry.sector, folder=folder, version=ref.version, error=error)
            continue
        yield Reading(
            sector=entry.sector,
            folder=folder,
            version=ref.version,
            rank=weights.rank,
            memory_bytes=weights.bytes,
        )


def _require_known(sectors: Collection[str], settings: "Settings", context: typer.Context, say: Speaker) -> None:
    known = list(settings.config.adapter_folders)
    for sector in sectors:
        if sector not in known:
            context.fail(say(texts.TRAIN_UNKNOWN, sector=sector, known=", ".join(known)))


def _show_entries(entries: "list[CatalogEntry]", settings: "Settings", terminal: Terminal) -> None:
    from turkish_ai.cli.sectors import sector_name

    say = terminal.say
    rows = []
    for entry in entries:
        state = say(texts.ADAPTER_THERE)
        if isinstance(entry.error, AdapterNotFound):
            state = say(texts.ADAPTER_NONE) if entry.folder is None else say(texts.ADAPTER_ABSENT, sector=entry.sector)
        elif entry.error is not None:
            state = sentence(entry.error, say)
        name = sector_name(entry.sector, config=settings.config, say=say)
        rows.append((entry.sector, name, entry.ref.version if entry.ref else "-", state))
    head = (texts.COLUMN_ID, texts.COLUMN_SECTOR, texts.COLUMN_VERSION, texts.COLUMN_STATE)
    terminal.table([say(column) for column in head], rows)


def _show_readings(readings: list[Reading], settings: "Settings", terminal: Terminal) -> None:
    from turkish_ai.cli.sectors import sector_name

    say = terminal.say
    rows = []
    for reading in readings:
        rows.append(
            (
                reading.sector,
                sector_name(reading.sector, config=settings.config, say=say),
                reading.version or "-",
                str(reading.rank or "-"),
                "-"
                if reading.memory_bytes is None
                else say(texts.MIB, mib=say.number(reading.memory_bytes / _MIB, digits=1)),
                _state(reading, say),
            )
        )
    head = (
        texts.COLUMN_ID,
        texts.COLUMN_SECTOR,
        texts.COLUMN_VERSION,
        texts.COLUMN_RANK,
        texts.COLUMN_MEMORY,
        texts.COLUMN_STATE,
    )
    terminal.table([say(column) for column in head], rows)
    none = sum(reading.is_none for reading in readings)
    refused = sum(reading.is_refused for reading in readings)
    summary = texts.ADAPTERS_SUMMARY_NONE if none else texts.ADAPTERS_SUMMARY
    terminal.note(say(summary, good=len(readings) - refused - none, refused=refused, none=none))


def _state(reading: Reading, say: Speaker) -> str:
    if reading.error is None:
        return say(texts.ADAPTER_GOOD)
    if isinstance(reading.error, AdapterNotFound):
        return say(texts.ADAPTER_NONE if reading.is_none else texts.ADAPTER_ABSENT, sector=reading.sector)
    return sentence(reading.error, say)


def _entry_object(entry: "CatalogEntry") -> dict[str, Any]:
    return {
        "sector": entry.sector,
        "folder": entry.folder,
        "version": entry.ref.version if entry.ref else None,
        "sha256": entry.ref.sha256 if entry.ref else None,
        "error": entry.error.code if entry.error else None,
        "message": str(entry.error) if entry.error else None,
    }


def _reading_object(reading: Reading) -> dict[str, Any]:
    return {
        "sector": reading.sector,
        "folder": reading.folder,
        "version": reading.version,
        "rank": reading.rank,
        "bytes": reading.memory_bytes,
        "ok": reading.error is None,
        "error": reading.error.code if reading.error else None,
        "message": str(reading.error) if reading.error else None,
    }
