"""`turkish-ai serve`: start the server in this process.

Everything that a server does is `app.run`'s; this reads the options and says what a first start is about to do.
"""

from pathlib import Path
from typing import Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="serve",
        help=say(texts.SERVE_HELP),
        epilog=say(texts.SERVE_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_USE),
    )
    def serve(
        host: Annotated[str | None, typer.Option(help=say(texts.HOST_HELP))] = None,
        port: Annotated[int | None, typer.Option(help=say(texts.PORT_HELP), min=0, max=65535)] = None,
        data_dir: Annotated[Path | None, typer.Option(help=say(texts.DATA_DIR_HELP), file_okay=False)] = None,
    ) -> None:
        from turkish_ai.cli.base_model import base_model_source
        from turkish_ai.settings import load_settings

        settings = load_settings(host=host, port=port, data_dir=data_dir.absolute() if data_dir else None)
        from turkish_ai.base_model import installed_base_model

        if installed_base_model(base_model_source(settings), cache_dir=settings.cache_dir) is None:
            terminal.note(say(texts.FIRST_START, source=settings.base_model))
        from turkish_ai.app import run  # the server's imports, after the settings were found good

        run(settings)
