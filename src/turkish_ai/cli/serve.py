"""`turkish-ai serve`: start the server in this process.

Everything that a server does is `app.run`'s; this reads the options and says what a first start is about to do.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import SettingsError

if TYPE_CHECKING:
    from turkish_ai.settings import Settings


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

        settings = load_settings(
            host=host,
            port=port,
            data_dir=data_dir.absolute() if data_dir else None,
            language=say.language,  # --lang and the locale decide it too
        )
        from turkish_ai.base_model import installed_base_model

        if installed_base_model(base_model_source(settings), cache_dir=settings.cache_dir) is None:
            terminal.note(say(texts.FIRST_START, source=settings.base_model))
        _require_a_free_port(settings, say)
        _require_a_data_dir(settings, say)
        from turkish_ai.app import run  # the server's imports, after the settings were found good

        run(settings)


def _require_a_free_port(settings: "Settings", say: Speaker) -> None:
    """The server would find out too, and cannot know that it is our own server which is there already."""
    from turkish_ai.cli.machine import look_at_port, url_at

    found = look_at_port(settings.host, settings.port)
    place = {"host": found.host, "port": found.port}
    match found.state:
        case "ours":
            raise SettingsError(
                say(texts.ALREADY_RUNS, url=url_at(found.host, found.port), version=found.detail),
                remedy=say(texts.ALREADY_RUNS_REMEDY),
            )
        case "taken":
            raise SettingsError(say(texts.PORT_TAKEN, **place), remedy=say(texts.PORT_TAKEN_REMEDY))
        case "unusable":
            text = say(texts.PORT_UNUSABLE, reason=found.detail, **place)
            raise SettingsError(text, remedy=say(texts.PORT_UNUSABLE_REMEDY))


def _require_a_data_dir(settings: "Settings", say: Speaker) -> None:
    """Where no admin key is configured, the server keeps its own there."""
    if settings.admin_key is not None:
        return
    path = settings.data_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        text = say(texts.DATA_DIR_CLOSED, path=path, reason=error.strerror or str(error))
        raise SettingsError(text, remedy=say(texts.DATA_DIR_CLOSED_REMEDY)) from error
