"""`turkish-ai evaluate`: put held-out questions to the adapters, and show what came back.

Chooses the sectors, lends the engine and shows the counts; how an answer is judged is `evaluation`'s.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import DataError

if TYPE_CHECKING:
    from turkish_ai.evaluation import RecallQuestion, RecallReport
    from turkish_ai.settings import Settings

_MAX_TOKENS = 256
_LINES = 10  # of progress, where no terminal shows a bar


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="evaluate",
        help=say(texts.EVALUATE_HELP),
        epilog=say(texts.EVALUATE_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_MODELS),
    )
    def evaluate(
        context: typer.Context,
        sector: Annotated[
            list[str] | None,
            typer.Argument(metavar=say(texts.SECTOR_NAME), help=say(texts.EVALUATE_SECTORS_HELP), show_default=False),
        ] = None,
        out: Annotated[Path | None, typer.Option(help=say(texts.EVALUATE_OUT_HELP), dir_okay=False)] = None,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
    ) -> None:
        from turkish_ai import logs
        from turkish_ai.settings import load_settings

        settings = load_settings()
        known = list(settings.config.adapter_folders)
        for name in sector or []:
            if name not in known:
                context.fail(say(texts.TRAIN_UNKNOWN, sector=name, known=", ".join(known)))
        logs.configure(level="warning", fmt=settings.log_format)
        report = asyncio.run(_evaluate(settings, list(dict.fromkeys(sector or _with_questions(settings))), terminal))
        if out is not None:
            out.write_text(report.to_json(), encoding="utf-8")
        if as_json:
            terminal.result(report.to_json().rstrip("\n"))
        else:
            _show(report, terminal)


def _with_questions(settings: "Settings") -> list[str]:
    return [
        sector
        for sector, folder in settings.config.adapter_folders.items()
        if folder and (settings.recall_data_dir / f"{sector}.jsonl").is_file()
    ]


async def _evaluate(settings: "Settings", sectors: Sequence[str], terminal: Terminal) -> "RecallReport":
    if not sectors:
        raise DataError(terminal.say(texts.EVALUATE_NOTHING, folder=settings.recall_data_dir))
    from turkish_ai.app import build_engine
    from turkish_ai.base_model import progress_for
    from turkish_ai.engines.adapters import AdapterCatalog
    from turkish_ai.evaluation import Reply, evaluate_recall, read_recall_questions
    from turkish_ai.grounding import as_message, question_banks
    from turkish_ai.messages import GENERAL, GenerationRequest, Message, Sampling
    from turkish_ai.metrics import Metrics
    from turkish_ai.sector_data import read_sector_dataset
    from turkish_ai.settings import SECTOR_IDS

    datasets = [read_sector_dataset(settings.sector_data_dir / f"{name}.jsonl", sector=name) for name in sectors]
    questions = [
        question
        for dataset in datasets
        for question in read_recall_questions(settings.recall_data_dir / f"{dataset.sector}.jsonl", dataset=dataset)
    ]
    catalog = AdapterCatalog(settings.adapters_dir, settings.config.adapter_folders)
    adapters = {name: catalog.find(name) for name in sectors}
    progress = progress_for(sys.stderr, language=terminal.say.language)
    engine = build_engine(settings, metrics=Metrics(sectors=SECTOR_IDS), progress=progress)

    banks = question_banks(settings)

    async def ask(question: "RecallQuestion") -> Reply:
        reference = banks.find(question.sector, question.text) if adapters[question.sector].grounded else None
        told: tuple[Message, ...] = ()
        if adapters[question.sector].grounded:
            sector = settings.config.sector(question.sector)
            assert sector is not None
            told = (as_message(reference.answer if reference is not None else sector.no_answer_tr),)
        request = GenerationRequest(
            request_id=question.id,
            messages=(*told, Message(role="user", content=question.text)),
            sampling=Sampling(max_tokens=_MAX_TOKENS),
            adapter=adapters[question.sector],
        )
        deltas = [delta async for delta in engine.generate(request)]
        return Reply(text="".join(delta.text for delta in deltas), finished=deltas[-1].finish_reason == "stop")

    await engine.start()
    try:
        with _Counted(len(questions), terminal) as counted:
            return await evaluate_recall(
                questions,
                datasets=datasets,
                adapter_versions={name: ref.version for name, ref in adapters.items()},
                admissions={entry.id: entry.no_answer_tr for entry in settings.config.sectors}
                | {GENERAL: settings.config.general.no_answer_tr},
                base_model=engine.model_id,
                ask=ask,
                at_once=settings.config.inference.embedded.max_batch,
                answered=counted.advance,
            )
    finally:
        await engine.stop(drain_s=0)


class _Counted:
    """How many answers have come: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, total: int, terminal: Terminal) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._terminal = terminal
        self._total, self._done = total, 0
        title = terminal.say(texts.EVALUATE_ASKING, questions=total)
        console = Console(stderr=True)
        self._bar = Progress(console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(title, total=total)
        if not console.is_terminal:
            terminal.note(title)
        self._lines = not console.is_terminal

    def __enter__(self) -> "_Counted":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        self._done += 1
        self._bar.advance(self._task)
        if self._lines and self._done * _LINES // self._total > (self._done - 1) * _LINES // self._total:
            self._terminal.note(f"{self._done}/{self._total}")


def _show(report: "RecallReport", terminal: Terminal) -> None:
    say = terminal.say
    rows = []
    for sector in report.sectors:
        taught, untaught = sum(sector.taught.values()), sum(sector.untaught.values())
        rows.append(
            [
                sector.sector,
                f"{sector.taught['own']}/{taught}",
                str(sector.taught["another"]),
                str(sector.taught["declined"]),
                str(sector.taught["invented"]),
                f"{sector.untaught['declined']}/{untaught}",
                str(sector.untaught["another"]),
                str(sector.untaught["invented"]),
            ]
        )
    terminal.table([say(text) for text in texts.EVALUATE_HEAD], rows)
