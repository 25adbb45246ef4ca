"""`turkish-ai evaluate`: put held-out questions to the adapters, and show what came back.

Chooses the sectors, lends the engine and shows the counts; how an answer is judged is `evaluation`'s.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import DataError

if TYPE_CHECKING:
    from turkish_ai.evaluation import RecallQuestion, RecallReport
    from turkish_ai.evaluation.recall import Ask
    from turkish_ai.grounding import QuestionBanks
    from turkish_ai.sector_data import SectorDataset
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
        lookup: Annotated[bool, typer.Option("--lookup", help=say(texts.EVALUATE_LOOKUP_HELP))] = False,
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
        asked = list(dict.fromkeys(sector or with_questions(settings)))
        report = (measure_lookup if lookup else measure_answers)(settings, asked, terminal)
        if out is not None:
            out.write_text(report.to_json(), encoding="utf-8")
        if as_json:
            terminal.result(report.to_json().rstrip("\n"))
        else:
            _show(report, terminal)


def with_questions(settings: "Settings") -> list[str]:
    return [
        sector
        for sector, folder in settings.config.adapter_folders.items()
        if folder and (settings.recall_data_dir / f"{sector}.jsonl").is_file()
    ]


def measure_answers(
    settings: "Settings", sectors: Sequence[str], terminal: Terminal, *, base_every: int = 0
) -> "RecallReport":
    """Put the sectors' held-out questions to their adapters; or, with `base_every`, every so manieth to the base model.

    Raises DataError where there is nothing to ask, and whatever starting the engine raises.
    """
    return asyncio.run(_evaluate(settings, sectors, terminal, base_every=base_every))


def measure_lookup(settings: "Settings", sectors: Sequence[str], terminal: Terminal) -> "RecallReport":
    """What the adapters would be told: the question banks alone, in seconds. The adapters' version is `lookup`.

    Raises DataError where there is nothing to ask.
    """
    from turkish_ai.evaluation import Reply
    from turkish_ai.grounding import question_banks

    banks = question_banks(settings)

    async def ask(question: "RecallQuestion") -> Reply:
        return Reply(text=_told(settings, banks, question), finished=True)

    return asyncio.run(
        _judge(
            settings, _read(settings, sectors, terminal), terminal, versions=dict.fromkeys(sectors, "lookup"), ask=ask
        )
    )


async def _evaluate(
    settings: "Settings", sectors: Sequence[str], terminal: Terminal, *, base_every: int
) -> "RecallReport":
    from turkish_ai.app import build_engine
    from turkish_ai.base_model import progress_for
    from turkish_ai.engines.adapters import AdapterCatalog
    from turkish_ai.evaluation import Reply
    from turkish_ai.grounding import as_message, question_banks
    from turkish_ai.messages import GenerationRequest, Message, Sampling
    from turkish_ai.metrics import Metrics
    from turkish_ai.settings import SECTOR_IDS

    asked = _read(settings, sectors, terminal, every=base_every or 1)
    catalog = AdapterCatalog(settings.adapters_dir, settings.config.adapter_folders)
    adapters = {name: None if base_every else catalog.find(name) for name in sectors}
    progress = progress_for(sys.stderr, language=terminal.say.language)
    engine = build_engine(settings, metrics=Metrics(sectors=SECTOR_IDS), progress=progress)
    banks = question_banks(settings)

    async def ask(question: "RecallQuestion") -> Reply:
        adapter = adapters[question.sector]
        is_told = adapter is not None and adapter.grounded
        told = (as_message(_told(settings, banks, question)),) if is_told else ()
        request = GenerationRequest(
            request_id=question.id,
            messages=(*told, Message(role="user", content=question.text)),
            sampling=Sampling(max_tokens=_MAX_TOKENS),
            adapter=adapter,
        )
        deltas = [delta async for delta in engine.generate(request)]
        return Reply(text="".join(delta.text for delta in deltas), finished=deltas[-1].finish_reason == "stop")

    versions = {name: ref.version if ref is not None else "base" for name, ref in adapters.items()}
    await engine.start()
    try:
        return await _judge(settings, asked, terminal, versions=versions, ask=ask)
    finally:
        await engine.stop(drain_s=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    datasets: "Sequence[SectorDataset]"
    questions: "Sequence[RecallQuestion]"


def _read(settings: "Settings", sectors: Sequence[str], terminal: Terminal, *, every: int = 1) -> _Asked:
    if not sectors:
        raise DataError(terminal.say(texts.EVALUATE_NOTHING, folder=settings.recall_data_dir))
    from turkish_ai.evaluation import read_recall_questions
    from turkish_ai.sector_data import read_sector_dataset

    datasets = [read_sector_dataset(settings.sector_data_dir / f"{name}.jsonl", sector=name) for name in sectors]
    questions = [
        question
        for dataset in datasets
        for question in read_recall_questions(settings.recall_data_dir / f"{dataset.sector}.jsonl", dataset=dataset)
    ]
    return _Asked(datasets=datasets, questions=questions[::every])


def _told(settings: "Settings", banks: "QuestionBanks", question: "RecallQuestion") -> str:
    """What a grounded adapter answers from."""
    reference = banks.find(question.sector, question.text)
    sector = settings.config.sector(question.sector)
    assert sector is not None  # the questions were read for configured sectors
    return reference.answer if reference is not None else sector.no_answer_tr


async def _judge(
    settings: "Settings", asked: _Asked, terminal: Terminal, *, versions: dict[str, str], ask: "Ask"
) -> "RecallReport":
    from turkish_ai.evaluation import evaluate_recall
    from turkish_ai.messages import GENERAL

    with _Counted(len(asked.questions), terminal) as counted:
        return await evaluate_recall(
            asked.questions,
            datasets=asked.datasets,
            adapter_versions=versions,
            admissions={entry.id: entry.no_answer_tr for entry in settings.config.sectors}
            | {GENERAL: settings.config.general.no_answer_tr},
            base_model=settings.base_model_name,
            ask=ask,
            at_once=settings.config.inference.embedded.max_batch,
            answered=counted.advance,
        )


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
