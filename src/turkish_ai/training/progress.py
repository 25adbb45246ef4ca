"""Show how far a training has come.

Called by `training.trainer` and `training.sectors`; built by the command line, which knows the stream. Knows nothing
of models: it is told numbers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from turkish_ai.base_model import LineProgress, Progress, RichProgress, SilentProgress
from turkish_ai.training.report import EpochLoss, TrainingReport

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

_LINE_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """`step` of `steps`, `epoch` of `epochs`; all count from 1. `loss` is the epoch's mean so far.

    `eta_s` is what is left at the pace of this run.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    eta_s: float


class TrainingProgress(Protocol):
    """One sector at a time. Every method is called from the thread that trains."""

    @property
    def preparing(self) -> Progress:
        """Where the preparation of the base model reports to, which a first run needs."""
        ...

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        """`step` is above 0 if an interrupted run is continued."""

    def note(self, text: str) -> None:
        """A short sentence for people about the running sector."""

    def step_ended(self, step: TrainingStep) -> None: ...

    def epoch_ended(self, epoch: int, *, epochs: int, loss: EpochLoss) -> None: ...

    def sector_ended(self, report: TrainingReport) -> None: ...

    def finish(self) -> None:
        """Nothing more will come, whatever the reason. Safe to call twice."""


class SilentTrainingProgress:
    """Says nothing."""

    preparing: Progress = SilentProgress()

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def step_ended(self, step: TrainingStep) -> None:
        pass

    def epoch_ended(self, epoch: int, *, epochs: int, loss: EpochLoss) -> None:
        pass

    def sector_ended(self, report: TrainingReport) -> None:
        pass

    def finish(self) -> None:
        pass


class LineTrainingProgress:
    """Plain lines for logs: one each 30 s at most, one when an epoch ends, one when the sector ends."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._sector = ""
        self._said_s = 0.0
        self.preparing: Progress = LineProgress(stream)

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        self._sector, self._said_s = sector, self._clock()
        self._say(f"continues after step {step} of {steps}" if step else f"{steps} steps")

    def note(self, text: str) -> None:
        self._say(text)

    def step_ended(self, step: TrainingStep) -> None:
        if self._clock() - self._said_s < _LINE_EVERY_S:
            return
        self._said_s = self._clock()
        self._say(
            f"step {step.step}/{step.steps}, epoch {step.epoch}/{step.epochs}, loss {step.loss:.3f}, "
            f"{duration(step.eta_s)} left"
        )

    def epoch_ended(self, epoch: int, *, epochs: int, loss: EpochLoss) -> None:
        self._say(_epoch(epoch, epochs, loss))

    def sector_ended(self, report: TrainingReport) -> None:
        self._say(_result(report))

    def finish(self) -> None:
        self.preparing.finish()

    def _say(self, text: str) -> None:
        self._stream.write(f"{self._sector}: {text}\n" if self._sector else f"{text}\n")
        self._stream.flush()


class RichTrainingProgress:
    """A bar for a terminal; epochs and results stay above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._sector = ""
        self._bars: RichBars | None = None
        self._task: TaskID | None = None
        self.preparing: Progress = RichProgress(stream)

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        from rich.console import Console  # 0.1 s of imports, only paid when there is something to show
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichBars

        self.finish()
        self._sector = sector
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
        self._bars = RichBars(*columns, console=Console(file=self._stream))
        self._bars.start()
        self._task = self._bars.add_task(sector, total=steps, completed=step)
        if step:
            self._print(f"continues after step {step} of {steps}")

    def note(self, text: str) -> None:
        self._print(text)

    def step_ended(self, step: TrainingStep) -> None:
        if self._bars is not None and self._task is not None:
            shown = (
                f"{self._sector}  epoch {step.epoch}/{step.epochs}  step {step.step}/{step.steps}  "
                f"loss {step.loss:.3f}  {duration(step.eta_s)} left"
            )
            self._bars.update(self._task, completed=step.step, description=shown)

    def epoch_ended(self, epoch: int, *, epochs: int, loss: EpochLoss) -> None:
        self._print(_epoch(epoch, epochs, loss))

    def sector_ended(self, report: TrainingReport) -> None:
        self._print(_result(report))
        self.finish()

    def finish(self) -> None:
        self.preparing.finish()
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None

    def _print(self, text: str) -> None:
        line = f"{self._sector}: {text}" if self._sector else text
        if self._bars is not None:
            self._bars.console.print(line, highlight=False, markup=False)
        else:
            self._stream.write(line + "\n")


def training_progress_for(stream: TextIO) -> TrainingProgress:
    """A bar on a terminal, plain lines anywhere else."""
    return RichTrainingProgress(stream) if stream.isatty() else LineTrainingProgress(stream)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _epoch(epoch: int, epochs: int, loss: EpochLoss) -> str:
    return f"epoch {epoch}/{epochs} ended: loss {loss.train:.3f} on train, {loss.dev:.3f} on dev"


def _result(report: TrainingReport) -> str:
    if report.outcome == "already_trained":
        return f"already trained with this recipe, data and base model: {report.adapter_dir}"
    last = report.epochs[report.kept_epoch - 1]
    return (
        f"trained in {duration(report.seconds)}: dev loss {report.base_dev_loss:.3f} before, {last.dev:.3f} after; "
        f"{report.weights_bytes / 1e6:.1f} MB in {report.adapter_dir}"
    )
