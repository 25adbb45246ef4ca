"""Where a command's words go: results to standard output, everything else to standard error.

Handed to every command group. Colours and aligned columns are for terminals; in a pipe a result is plain text, a line
or a tab at a time. Knows nothing of what is written.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer

from turkish_ai.cli.language import Speaker


class Terminal:
    """The streams are looked up when something is written, so that whoever replaces them (a test) is heard."""

    def __init__(self, say: Speaker) -> None:
        self.say = say
        self.has_said_stopped = False
        """Whether a command has told by itself that Ctrl-C ended it."""

    @property
    def shows_colours(self) -> bool:
        return sys.stdout.isatty()

    @property
    def is_asked_by_a_person(self) -> bool:
        """Whether standard input is a keyboard rather than a pipe or a file."""
        return sys.stdin is not None and sys.stdin.isatty()

    def result(self, text: str) -> None:
        typer.echo(text)

    def note(self, text: str) -> None:
        typer.echo(text, err=True)

    def piece(self, text: str) -> None:
        """A part of a result, shown at once."""
        typer.echo(text, nl=False)

    def json(self, value: Any, *, indent: int | None = None) -> None:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=indent, default=str))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not self.shows_colours:
            for row in rows:
                typer.echo("\t".join(row))
            return
        from rich.console import Console  # 0.05 s of imports, only paid where a terminal shows them
        from rich.table import Table

        table = Table(*head, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*row)
        Console(markup=False, highlight=False).print(table)
