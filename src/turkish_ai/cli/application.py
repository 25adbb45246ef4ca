"""Put the commands together, in one language.

Called by `main` for every run, because the language decides what the help says. Knows no command's work: each group
brings its own.
"""

from typing import Annotated, Literal

import typer

from turkish_ai.cli import (
    adapters,
    chat,
    classify,
    config,
    doctor,
    evaluate,
    report,
    router,
    serve,
    setup,
    texts,
    train,
)
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import group_class

NAME = "turkish-ai"


def build_app(terminal: Terminal) -> typer.Typer:
    say = terminal.say
    app = typer.Typer(
        name=NAME,
        help=say(texts.APP_HELP),
        epilog=say(texts.APP_EXAMPLES),
        cls=group_class(say.language),
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["--help", "-h"]},
    )

    @app.callback()
    def options(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help=say(texts.VERSION_HELP), is_eager=True)] = False,
        lang: Annotated[Literal["tr", "en"] | None, typer.Option("--lang", help=say(texts.LANG_HELP))] = None,
        debug: Annotated[bool, typer.Option("--debug", help=say(texts.DEBUG_HELP))] = False,
    ) -> None:
        # `main` has already read lang and debug; they stand here for the help, completion and a wrong value.
        if version:
            from turkish_ai import __version__

            terminal.result(f"{NAME} {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            terminal.result(context.get_help())
            raise typer.Exit

    for group in (chat, classify, serve, train, evaluate, report, adapters, router, setup, doctor, config):
        group.register(app, terminal)
    return app
