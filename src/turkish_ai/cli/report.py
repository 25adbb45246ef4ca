"""`turkish-ai report`: measure data, router, answers and losses, and write docs/evaluation.md with its pictures.

Chooses what is measured and where it is kept; how is `evaluation`'s and `training`'s.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.evaluate import measure_answers, with_questions
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import DataError

if TYPE_CHECKING:
    from turkish_ai.settings import Settings

_BASE_EVERY = 7
"""Every seventh question is put to the base model too: it rarely ends before the limit of tokens."""


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="report",
        help=say(texts.REPORT_HELP),
        epilog=say(texts.REPORT_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_MODELS),
    )
    def report(
        context: typer.Context,
        part: Annotated[
            list[str] | None,
            typer.Argument(metavar=say(texts.REPORT_PART), help=say(texts.REPORT_PARTS_HELP), show_default=False),
        ] = None,
        draw: Annotated[bool, typer.Option("--draw", help=say(texts.REPORT_DRAW_HELP))] = False,
        out: Annotated[Path, typer.Option(help=say(texts.REPORT_OUT_HELP), file_okay=False)] = Path("docs"),
    ) -> None:
        from turkish_ai import logs
        from turkish_ai.evaluation.report import PARTS, write_report
        from turkish_ai.settings import load_settings
        from turkish_ai.whole_file import write_whole

        if part and draw:
            context.fail(say(texts.REPORT_PARTS_OR_DRAW))
        for name in part or []:
            if name not in PARTS:
                context.fail(say(texts.REPORT_UNKNOWN, part=name, known=", ".join(PARTS)))
        settings = load_settings()
        logs.configure(level="warning", fmt=settings.log_format)
        kept = out / "evaluation"
        kept.mkdir(parents=True, exist_ok=True)
        for name in [] if draw else part or PARTS:
            terminal.note(say(texts.REPORT_MEASURING, part=name))
            found = _MEASURES[name](settings, terminal)
            write_whole(kept / f"{name}.json", (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode())
        files = {name: kept / f"{name}.json" for name in PARTS if (kept / f"{name}.json").is_file()}
        if not files:
            raise DataError(say(texts.REPORT_NOTHING, folder=kept), remedy="turkish-ai report")
        measured = {name: json.loads(file.read_bytes()) for name, file in files.items()}
        path = write_report(out, measured, machine=_machine(), today=datetime.now(UTC).date())
        terminal.result(say(texts.REPORT_WRITTEN, path=path))


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def _measure_data(settings: "Settings", _terminal: Terminal) -> dict[str, Any]:
    from turkish_ai.evaluation.variety import measure_variety
    from turkish_ai.sector_data import read_sector_dataset

    files = sorted(settings.sector_data_dir.glob("*.jsonl"))
    return {
        "sectors": [asdict(measure_variety(read_sector_dataset(file, sector=file.stem))) for file in files],
    }


def _measure_router(settings: "Settings", _terminal: Terminal) -> dict[str, Any]:
    from turkish_ai.routing.evaluation import evaluate_router

    return asdict(evaluate_router(settings, test=True))


def _measure_answers(settings: "Settings", terminal: Terminal) -> dict[str, Any]:
    sectors = with_questions(settings)
    return {
        "adapters": measure_answers(settings, sectors, terminal).as_json(),
        "base": measure_answers(settings, sectors, terminal, base_every=_BASE_EVERY).as_json(),
    }


def _measure_losses(settings: "Settings", terminal: Terminal) -> dict[str, Any]:
    from turkish_ai.training import training_progress_for
    from turkish_ai.training.sectors import measure_losses

    def measured(sector: str, adapter: str) -> None:
        if sector == last:
            terminal.note(adapter or "base")

    last = list(settings.config.adapter_folders)[-1]
    progress = training_progress_for(sys.stderr, language=terminal.say.language)
    return {"rows": [asdict(row) for row in measure_losses(settings, progress=progress, measured=measured)]}


_MEASURES: dict[str, Callable[["Settings", Terminal], dict[str, Any]]] = {
    "data": _measure_data,
    "router": _measure_router,
    "answers": _measure_answers,
    "losses": _measure_losses,
}
