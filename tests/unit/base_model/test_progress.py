"""What people see while they wait."""

import io
from typing import TextIO, cast

from turkish_ai.base_model import LineProgress, RichProgress, Words, progress_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lines(clock: Clock, *, total: int | None, steps: list[tuple[float, int]]) -> list[str]:
    stream = io.StringIO()
    progress = LineProgress(stream, clock=clock)
    progress.start("Copying", total)
    for seconds, size in steps:
        clock.now_s += seconds
        progress.advance(size)
    progress.finish()
    return stream.getvalue().splitlines()


def test_a_fast_stage_says_only_that_it_started_and_ended() -> None:
    assert lines(Clock(), total=100_000_000, steps=[(0.1, 10_000_000)] * 10) == [
        "Copying (100 MB)",
        "Copying: 100 MB in 1.0 s",
    ]


def test_a_slow_stage_speaks_every_ten_percent_at_most() -> None:
    said = lines(Clock(), total=100_000_000, steps=[(6.0, 1_000_000)] * 30)
    assert said[1:-1] == ["Copying: 10 % of 100 MB", "Copying: 20 % of 100 MB", "Copying: 30 % of 100 MB"]


def test_a_fast_stage_speaks_every_five_seconds_at_most() -> None:
    said = lines(Clock(), total=100_000_000, steps=[(2.0, 20_000_000)] * 5)
    assert said[1:-1] == ["Copying: 60 % of 100 MB"]


def test_a_stage_of_unknown_size_says_how_much_is_done() -> None:
    assert lines(Clock(), total=None, steps=[(6.0, 30_000_000)] * 2) == [
        "Copying",
        "Copying: 30 MB",
        "Copying: 60 MB",
        "Copying: 60 MB in 12.0 s",
    ]


def test_starting_a_stage_ends_the_one_before_and_finishing_twice_is_harmless() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, clock=Clock())
    progress.start("One", None)
    progress.start("Two", None)
    progress.finish()
    progress.finish()
    assert stream.getvalue().splitlines() == ["One", "One: 0.0 s", "Two", "Two: 0.0 s"]


def test_a_total_that_becomes_known_later_does_not_start_the_stage_anew() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = LineProgress(stream, clock=clock)
    progress.start("One", None)
    progress.advance(5)
    clock.now_s += 6
    progress.start("One", 2000)
    progress.advance(1000)
    progress.finish()
    assert stream.getvalue().splitlines() == ["One", "One: 50 % of 2 kB", "One: 1 kB in 6.0 s"]

    terminal = Terminal()
    bar = RichProgress(cast(TextIO, terminal))
    bar.start("One", None)
    bar.start("One", 2_000_000)
    bar.advance(2_000_000)
    bar.finish()
    assert "2.0/2.0 MB" in terminal.getvalue()


def test_those_who_read_turkish_are_told_in_turkish() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = progress_for(stream, language="tr")
    assert isinstance(progress, LineProgress)
    progress = LineProgress(stream, language="tr", clock=clock)
    progress.start(Words("Copying", tr="Kopyalanıyor"), 100_000_000)
    clock.now_s += 6
    progress.advance(50_000_000)
    progress.finish()
    assert stream.getvalue().splitlines() == [
        "Kopyalanıyor (100 MB)",
        "Kopyalanıyor: %50 (100 MB)",
        "Kopyalanıyor: 50 MB, 6,0 sn",
    ]
    terminal = Terminal()
    bar = progress_for(cast(TextIO, terminal), language="tr")
    bar.start(Words("Copying", tr="Kopyalanıyor"), None)
    bar.finish()
    assert "Kopyalanıyor" in terminal.getvalue()


def test_a_terminal_gets_a_bar_and_anything_else_plain_lines() -> None:
    assert isinstance(progress_for(Terminal()), RichProgress)
    assert isinstance(progress_for(io.StringIO()), LineProgress)


def test_the_bar_shows_each_stage() -> None:
    terminal = Terminal()
    progress = RichProgress(cast(TextIO, terminal))
    progress.start("Downloading", 10_000_000)
    progress.advance(10_000_000)
    progress.start("Building", None)
    progress.finish()
    progress.finish()
    assert "Downloading" in terminal.getvalue()
    assert "10.0/10.0 MB" in terminal.getvalue()
    assert "Building" in terminal.getvalue()
