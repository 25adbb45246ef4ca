"""Show how far the preparation of the base model has come.

Used by everything in `base_model` that takes seconds; built by the command line, which knows the stream. Knows
nothing of what is counted: every number is bytes.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

_LINE_EVERY_S = 5.0
_LINE_EVERY_RATIO = 0.1


class Progress(Protocol):
    """One stage at a time. Starting a stage ends the one before it."""

    def start(self, stage: str, total: int | None) -> None:
        """`stage` is a short sentence for people; `total` is in bytes, None when nobody can know it.

        Starting the open stage again gives it a total that has become known, and counts from zero.
        """

    def advance(self, n: int) -> None: ...

    def finish(self) -> None:
        """The stage is over, done or not. Safe to call when none is open."""


class SilentProgress:
    """Says nothing; for tests and for callers that only want the directory."""

    def start(self, stage: str, total: int | None) -> None:
        pass

    def advance(self, n: int) -> None:
        pass

    def finish(self) -> None:
        pass


class LineProgress:
    """Plain lines for logs: one when a stage starts and one when it ends.

    Between them one every 5 s or 10 %, whichever comes later; without a total one every 5 s.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._stage: str | None = None
        self._total: int | None = None
        self._done = 0
        self._started_s = 0.0
        self._said_s = 0.0
        self._said_bytes = 0

    def start(self, stage: str, total: int | None) -> None:
        if stage == self._stage:
            self._total, self._done, self._said_bytes = total, 0, 0
            return
        self.finish()
        self._stage, self._total, self._done, self._said_bytes = stage, total, 0, 0
        self._started_s = self._said_s = self._clock()
        self._say(f"{stage} ({_size(total)})" if total else stage)

    def advance(self, n: int) -> None:
        self._done += n
        now_s = self._clock()
        if now_s - self._said_s < _LINE_EVERY_S:
            return
        if self._total and self._done - self._said_bytes < self._total * _LINE_EVERY_RATIO:
            return
        self._said_s, self._said_bytes = now_s, self._done
        if self._total:
            self._say(f"{self._stage}: {min(100, 100 * self._done // self._total)} % of {_size(self._total)}")
        else:
            self._say(f"{self._stage}: {_size(self._done)}")

    def finish(self) -> None:
        if self._stage is not None:
            done = f"{_size(self._done)} in " if self._done else ""
            self._say(f"{self._stage}: {done}{self._clock() - self._started_s:.1f} s")
            self._stage = None

    def _say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class RichProgress:
    """A bar for a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._stage: str | None = None
        self._bars: RichBars | None = None
        self._task: TaskID | None = None

    def start(self, stage: str, total: int | None) -> None:
        from rich.console import Console  # 0.1 s of imports, only paid when there is something to show
        from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichBars

        if self._bars is not None and self._task is not None and stage == self._stage:
            self._bars.update(self._task, total=total, completed=0)
            return
        self.finish()
        self._stage = stage
        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
        ]
        self._bars = RichBars(*columns, console=Console(file=self._stream))
        self._bars.start()
        self._task = self._bars.add_task(stage, total=total)

    def advance(self, n: int) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, n)

    def finish(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None


def progress_for(stream: TextIO) -> Progress:
    """Bars on a terminal, plain lines anywhere else."""
    return RichProgress(stream) if stream.isatty() else LineProgress(stream)


def _size(n: int) -> str:
    return f"{n / 1e6:,.0f} MB" if n >= 1e6 else f"{n / 1e3:,.0f} kB"
