"""`turkish-ai setup`: prepare what a first start would prepare, so that the server starts at once.

`make setup` ends with it. Does nothing, quickly, where all is there.
"""

import sys

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="setup",
        help=say(texts.SETUP_HELP),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_CARE),
    )
    def setup() -> None:
        from turkish_ai.base_model import ensure_base_model, progress_for
        from turkish_ai.cli.base_model import base_model_source
        from turkish_ai.settings import load_settings

        settings = load_settings()
        model_dir = ensure_base_model(
            base_model_source(settings),
            cache_dir=settings.cache_dir,
            progress=progress_for(sys.stderr, language=say.language),
        )
        terminal.result(say(texts.SETUP_BASE, path=model_dir))
        from turkish_ai.routing.model import load_model
        from turkish_ai.routing.training import ensure_router

        router = ensure_router(settings)
        terminal.result(say(texts.ROUTER_BUILT, version=load_model(router).sha256[:12], path=router))
        terminal.result(say(texts.SETUP_DONE))
