"""The command `turkish-ai`, and the edge where every error becomes one line and an exit code.

`main` is the console script. It imports neither torch nor a server: a command imports what it needs when it runs, so
that `--help` and `--version` answer at once. Exit codes: 0 done, 1 an error with its remedy, 2 a command line that
cannot be read, 130 stopped with Ctrl-C.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from typer.exceptions import Abort, TyperException

from turkish_ai.cli import texts
from turkish_ai.cli.application import NAME, build_app
from turkish_ai.cli.arguments import read_arguments
from turkish_ai.cli.language import Speaker, choose_language, locale_language
from turkish_ai.cli.problem import line
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import usage_error
from turkish_ai.errors import SettingsError, TurkishAiError

FAILED, UNREADABLE, STOPPED = 1, 2, 130
COMPLETE_VARIABLE = "_TURKISH_AI_COMPLETE"
"""Set by the shell's completion script."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code. `argv` is without the program's name, None is the process's own."""
    _write_whatever_the_encoding()
    arguments = read_arguments(sys.argv[1:] if argv is None else argv)
    problem: SettingsError | None = None
    try:
        # Settings are not asked: reading them takes 0.15 s that `--help` must not pay, and may fail.
        language = choose_language(asked=arguments.language, env=os.environ)
    except SettingsError as error:
        problem, language = error, locale_language(os.environ)
    terminal = Terminal(Speaker(language))

    def work() -> int:
        if problem is not None and not _is_asked_for_help(arguments.line, os.environ):
            raise problem
        code = build_app(terminal)(args=list(arguments.line), prog_name=NAME, standalone_mode=False)
        if code == STOPPED and not terminal.has_said_stopped:
            raise KeyboardInterrupt  # Typer makes 130 of it without a word
        return code if isinstance(code, int) else 0  # and `typer.Exit` is its code

    return _guarded(work, terminal, debug=arguments.debug)


def _guarded(work: Callable[[], int], terminal: Terminal, *, debug: bool) -> int:
    say = terminal.say
    try:
        return work()
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else NAME
        message = usage_error(error.format_message(), say.language)
        terminal.note(say(texts.USAGE, error=message, command=command))
        return UNREADABLE
    except TurkishAiError as error:
        if debug:
            raise
        terminal.note(line(error, say))
        return FAILED
    except (KeyboardInterrupt, Abort):
        terminal.note(say(texts.INTERRUPTED))
        return STOPPED
    except BrokenPipeError:
        _be_silent()  # whoever read us, `head` for one, has enough
        return FAILED
    except ModuleNotFoundError as error:
        if debug:
            raise
        terminal.note(say(texts.MISSING_PACKAGE, package=error.name))
        return FAILED
    except Exception as error:
        if debug:
            raise
        # The edge of the process: a person gets one line, and a traceback only when asked for.
        terminal.note(say(texts.UNEXPECTED, kind=type(error).__name__, error=" ".join(str(error).split())))
        return FAILED


def _is_asked_for_help(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Help, the version, the doctor and the shell's completion work with a wrong setting too."""
    return bool(
        not words
        or {"--help", "-h", "--version"} & set(words)
        or next((word for word in words if not word.startswith("-")), None) == "doctor"
        or COMPLETE_VARIABLE in env
    )


def _write_whatever_the_encoding() -> None:
    """A terminal that cannot show ğ or · gets a question mark rather than a UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _be_silent() -> None:
    """Python flushes the streams once more at exit, which would complain about the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
