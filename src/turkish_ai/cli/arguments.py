"""Read the options that count for every command, wherever on the line they were typed.

Called by `main` before there is any command: the language decides what the help says. Knows no command.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """`line` is the command line with `--lang` and `--debug` moved to its front, where the application takes them."""

    line: tuple[str, ...]
    language: str | None
    debug: bool


def read_arguments(given: Sequence[str]) -> Arguments:
    """`turkish-ai serve --debug` means `turkish-ai --debug serve`. What follows a `--` is nobody's option."""
    hoisted: list[str] = []
    rest: list[str] = []
    language: str | None = None
    debug = False
    waiting = iter(given)
    for word in waiting:
        if word == "--":
            rest += [word, *waiting]
        elif word == "--debug":
            debug = True
            hoisted.append(word)
        elif word == "--lang":
            language = next(waiting, None)
            hoisted += [word] if language is None else [word, language]
        elif word.startswith("--lang="):
            language = word.removeprefix("--lang=")
            hoisted.append(word)
        else:
            rest.append(word)
    return Arguments(line=(*hoisted, *rest), language=language, debug=debug)
