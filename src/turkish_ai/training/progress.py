"""Show how far a training has come.

Called by `training.trainer` and `training.sectors`; built by the command line, which knows the stream. Knows nothing
of models: it is told numbers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from turkish_ai.base_model import Language, LineProgress, Progress, RichProgress, SilentProgress, Words, said
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
        """A short sentence for people about the running sector; `Words` for those who read Turkish."""

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

    def __init__(
        self, stream: TextIO, *, language: Language = "en", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._language: Language = language
        self._clock = clock
        self._sector = ""
        self._said_s = 0.0
        self.preparing: Progress = LineProgress(stream, language=language)

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        self._sector, self._said_s = sector, self._clock()
        self._say(_continues(step, steps) if step else Words(f"{steps} steps", tr=f"{steps} adım"))

    def note(self, text: str) -> None:
        self._say(text)

    def step_ended(self, step: TrainingStep) -> None:
        if self._clock() - self._said_s < _LINE_EVERY_S:
            return
        self._said_s = self._clock()
        self._say(_step(step))

    def epoch_ended(self, epoch: int, *, epochs: int, loss: EpochLoss) -> None:
        self._say(_epoch(epoch, epochs, loss))

    def sector_ended(self, report: TrainingReport) -> None:
        self._say(_result(report))

    def finish(self) -> None:
        self.preparing.finish()

    def _say(self, text: str) -> None:
        text = said(text, self._language)
        self._stream.write(f"{self._sector}: {text}\n" if self._sector else f"{text}\n")
        self._stream.flush()


class RichTrainingProgress:
    """A bar for a terminal; epochs and results stay above it."""

    def __init__(self, stream: TextIO, *, language: Language = "en") -> None:
        self._stream = stream
        self._language: Language = language
        self._sector = ""
        self._bars: RichBars | None = None
        self._task: TaskID | None = None
        self.preparing: Progress = RichProgress(stream, language=language)

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
            self._print(_continues(step, steps))

    def note(self, text: str) -> None:
        self._print(text)

    def step_ended(self, step: TrainingStep) -> None:
        if self._bars is not None and self._task is not None:
            shown = f"{self._sector}  {said(_step(step), self._language)}"
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
        text = said(text, self._language)
        line = f"{self._sector}: {text}" if self._sector else text
        if self._bars is not None:
            self._bars.console.print(line, highlight=False, markup=False)
        else:
            self._stream.write(line + "\n")


def training_progress_for(stream: TextIO, *, language: Language = "en") -> TrainingProgress:
    """A bar on a terminal, plain lines anywhere else."""
    if stream.isatty():
        return RichTrainingProgress(stream, language=language)
    return LineTrainingProgress(stream, language=language)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def comma(number: str) -> str:
    """A decimal fraction as Turkish writes it."""
    return number.replace(".", ",")


def _continues(step: int, steps: int) -> Words:
    return Words(f"continues after step {step} of {steps}", tr=f"{steps} adımın {step}. adımından sürüyor")


def _step(step: TrainingStep) -> Words:
    loss, left = f"{step.loss:.3f}", duration(step.eta_s)
    return Words(
        f"step {step.step}/{step.steps}, epoch {step.epoch}/{step.epochs}, loss {loss}, {left} left",
        tr=f"adım {step.step}/{step.steps}, tur {step.epoch}/{step.epochs}, kayıp {comma(loss)}, kalan {left}",
    )


def _epoch(epoch: int, epochs: int, loss: EpochLoss) -> Words:
    train, dev = f"{loss.train:.3f}", f"{loss.dev:.3f}"
    return Words(
        f"epoch {epoch}/{epochs} ended: loss {train} on what is taught, {dev} on topics that are not",
        tr=f"tur {epoch}/{epochs} bitti: kayıp öğretilenlerde {comma(train)}, öğretilmeyen konularda {comma(dev)}",
    )


def _result(report: TrainingReport) -> Words:
    if report.outcome == "already_trained":
        return Words(
            f"already trained with this recipe, data and base model: {report.adapter_dir}",
            tr=f"bu ayarlar, veri ve temel modelle zaten eğitilmiş: {report.adapter_dir}",
        )
    took, size = duration(report.seconds), f"{report.weights_bytes / 1e6:.1f}"
    return Words(
        f"trained in {took}; {size} MB in {report.adapter_dir}",
        tr=f"{took} sürede eğitildi; {comma(size)} MB: {report.adapter_dir}",
    )
