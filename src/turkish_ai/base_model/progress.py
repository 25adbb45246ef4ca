"""Show how far the preparation of the base model has come.

Used by everything in `base_model` that takes seconds; built by the command line, which knows the stream. Knows
nothing of what is counted: every number is bytes.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

_LINE_EVERY_S = 5.0
_LINE_EVERY_RATIO = 0.1


Language = Literal["tr", "en"]


class Words(str):
    """A short sentence for people: in English, for logs and machines, with the Turkish one at hand."""

    tr: str

    def __new__(cls, en: str, *, tr: str) -> "Words":
        made = super().__new__(cls, en)
        made.tr = tr
        return made


def said(text: str, language: Language) -> str:
    """`text` in `language`, if it is to be had there."""
    return text.tr if language == "tr" and isinstance(text, Words) else text


class Progress(Protocol):
    """One stage at a time. Starting a stage ends the one before it."""

    def start(self, stage: str, total: int | None) -> None:
        """`stage` is a short sentence for people, `Words` for those who read Turkish; `total` is in bytes, None when
        nobody can know it.

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

    def __init__(
        self, stream: TextIO, *, language: Language = "en", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._language: Language = language
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
        self._say(f" ({_size(total)})" if total else "")

    def advance(self, n: int) -> None:
        self._done += n
        now_s = self._clock()
        if now_s - self._said_s < _LINE_EVERY_S:
            return
        if self._total and self._done - self._said_bytes < self._total * _LINE_EVERY_RATIO:
            return
        self._said_s, self._said_bytes = now_s, self._done
        if self._total:
            percent, size = min(100, 100 * self._done // self._total), _size(self._total)
            self._say(f": %{percent} ({size})" if self._language == "tr" else f": {percent} % of {size}")
        else:
            self._say(f": {_size(self._done)}")

    def finish(self) -> None:
        if self._stage is not None:
            took = f"{self._clock() - self._started_s:.1f}"
            if self._language == "tr":
                done = f"{_size(self._done)}, " if self._done else ""
                self._say(f": {done}{took.replace('.', ',')} sn")
            else:
                done = f"{_size(self._done)} in " if self._done else ""
                self._say(f": {done}{took} s")
            self._stage = None

    def _say(self, text: str) -> None:
        assert self._stage is not None
        self._stream.write(f"{said(self._stage, self._language)}{text}\n")
        self._stream.flush()


class RichProgress:
    """A bar for a terminal."""

    def __init__(self, stream: TextIO, *, language: Language = "en") -> None:
        self._stream = stream
        self._language: Language = language
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
        self._task = self._bars.add_task(said(stage, self._language), total=total)

    def advance(self, n: int) -> None:
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, n)

    def finish(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None


def progress_for(stream: TextIO, *, language: Language | None = None) -> Progress:
    """Bars on a terminal, plain lines anywhere else; in English unless Turkish is asked for."""
    if stream.isatty():
        return RichProgress(stream, language=language or "en")
    return LineProgress(stream, language=language or "en")


def _size(n: int) -> str:
    return f"{n / 1e6:,.0f} MB" if n >= 1e6 else f"{n / 1e3:,.0f} kB"
