"""`turkish-ai train`: sectors in, adapters out, with a line on each.

Chooses the sectors and shows what came of them; how one is trained is `training`'s.
"""

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import DataError

if TYPE_CHECKING:
    from turkish_ai.settings import Settings
    from turkish_ai.training import TrainingReport

_STOPPED = 130


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="train",
        help=say(texts.TRAIN_HELP),
        epilog=say(texts.TRAIN_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_MODELS),
    )
    def train(
        context: typer.Context,
        sector: Annotated[
            list[str] | None,
            typer.Argument(
                metavar=say(texts.SECTOR_NAME),
                help=say(texts.TRAIN_SECTORS_HELP),
                show_default=False,
                autocompletion=_sector_ids,
            ),
        ] = None,
        every: Annotated[bool, typer.Option("--all", help=say(texts.TRAIN_ALL_HELP))] = False,
        force: Annotated[bool, typer.Option("--force", help=say(texts.TRAIN_FORCE_HELP))] = False,
        epochs: Annotated[int | None, typer.Option(help=say(texts.TRAIN_EPOCHS_HELP), min=1, max=1000)] = None,
        early_stopping: Annotated[bool, typer.Option("--early-stopping", help=say(texts.TRAIN_EARLY_HELP))] = False,
        out: Annotated[Path | None, typer.Option(help=say(texts.TRAIN_OUT_HELP), file_okay=False)] = None,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
    ) -> None:
        if bool(sector) == every:
            context.fail(say(texts.TRAIN_WHICH))
        from turkish_ai.settings import load_settings

        settings = load_settings()
        sectors = _sectors_with_data(settings, terminal) if every else _known(sector or [], settings, context, terminal)
        from turkish_ai.training import TrainingStopped, train_sectors, training_progress_for

        try:
            reports = train_sectors(
                settings,
                sectors,
                progress=training_progress_for(sys.stderr, language=say.language),
                force=force,
                early_stopping=early_stopping,
                epochs=epochs,
                out_dir=out.absolute() if out else None,
            )
        except TrainingStopped as stopped:
            # With --force the finished ones would be trained once more.
            left = [*sectors[sectors.index(stopped.sector) :], "--force"]
            left += ["--epochs", str(epochs)] if epochs is not None else []
            left += ["--early-stopping"] if early_stopping else []
            left += ["--out", shlex.quote(str(out))] if out is not None else []
            terminal.note(
                say(
                    texts.TRAIN_STOPPED_FORCED if force else texts.TRAIN_STOPPED,
                    sector=stopped.sector,
                    step=stopped.step,
                    steps=stopped.steps,
                    left=" ".join(left),
                )
            )
            terminal.has_said_stopped = True
            raise typer.Exit(_STOPPED) from None
        if as_json:
            terminal.json([report_object(report) for report in reports], indent=2)
            return
        for report in reports:
            terminal.result(describe_report(report, say))


def _sector_ids(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from turkish_ai.messages import GENERAL
    from turkish_ai.settings import SECTOR_IDS

    return [sector for sector in (*SECTOR_IDS, GENERAL) if sector.startswith(incomplete)]


def _known(sectors: list[str], settings: "Settings", context: typer.Context, terminal: Terminal) -> list[str]:
    known = list(settings.config.adapter_folders)
    for sector in sectors:
        if sector not in known:
            context.fail(terminal.say(texts.TRAIN_UNKNOWN, sector=sector, known=", ".join(known)))
    return list(dict.fromkeys(sectors))


def _sectors_with_data(settings: "Settings", terminal: Terminal) -> list[str]:
    folder = settings.sector_data_dir
    found = [sector for sector in settings.config.adapter_folders if (folder / f"{sector}.jsonl").is_file()]
    if not found:
        raise DataError(terminal.say(texts.TRAIN_NO_DATA, folder=folder))
    return found


def describe_report(report: "TrainingReport", say: Speaker) -> str:
    """The loss on topics that were not taught is no measure of what was, and mostly rises; so it is named for what it
    is, beside the base model's."""
    text = texts.TRAIN_TRAINED if report.outcome == "trained" else texts.TRAIN_UP_TO_DATE
    kept = report.epochs[report.kept_epoch - 1]
    done = say(
        text,
        sector=report.sector,
        path=report.adapter_dir,
        epoch=report.kept_epoch,
        epochs=len(report.epochs),
        seconds=say.number(report.seconds),
    )
    loss = say(
        texts.TRAIN_LOSS_ROSE if kept.dev > report.base_dev_loss else texts.TRAIN_LOSS,
        train=say.number(kept.train, digits=3),
        before=say.number(report.base_dev_loss, digits=3),
        after=say.number(kept.dev, digits=3),
    )
    return f"{done}\n  {loss}"


def report_object(report: "TrainingReport") -> dict[str, Any]:
    return asdict(report) | {"adapter_dir": str(report.adapter_dir), "examples": dict(report.examples)}
