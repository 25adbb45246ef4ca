"""`turkish-ai config`: say whether the configuration is good, and print its schema.

Reads settings and nothing else; whether the machine fits them is the doctor's question.
"""

from pathlib import Path
from typing import Annotated

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class, group_class
from turkish_ai.errors import SettingsError

SCHEMA_FILE = "model_config.schema.json"


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say
    group = typer.Typer(name="config", help=say(texts.CONFIG_HELP), cls=group_class(say.language))
    command = command_class(say.language)

    @group.command(name="check", help=say(texts.CONFIG_CHECK_HELP), cls=command)
    def check(
        file: Annotated[
            Path | None,
            typer.Argument(metavar=say(texts.FILE_NAME), help=say(texts.CONFIG_FILE_HELP), show_default=False),
        ] = None,
    ) -> None:
        from turkish_ai.settings import load_model_config, load_settings, require_files

        if file is None:
            settings = load_settings()
            file, config = settings.config_path, settings.config
        else:
            config = load_model_config(file)
        require_files(config, file.absolute())
        terminal.result(say(texts.CONFIG_GOOD, path=file))

    @group.command(name="schema", help=say(texts.CONFIG_SCHEMA_HELP), cls=command)
    def schema(
        only_check: Annotated[bool, typer.Option("--check", help=say(texts.CONFIG_SCHEMA_CHECK_HELP))] = False,
    ) -> None:
        from turkish_ai.settings import load_settings, model_config_schema

        wanted = model_config_schema()
        if not only_check:
            terminal.piece(wanted)
            return
        path = load_settings().config_path.with_name(SCHEMA_FILE)
        found = path.read_text(encoding="utf-8") if path.is_file() else None
        if found != wanted:
            raise SettingsError(
                f"{path} {'is missing' if found is None else 'is out of date'}.",
                remedy=f"Write it again: turkish-ai config schema > configs/{SCHEMA_FILE}",
                message_tr=f"{path} {'yok' if found is None else 'güncel değil'}.",
                remedy_tr=f"Yeniden yazın: turkish-ai config schema > configs/{SCHEMA_FILE}",
            )
        terminal.result(say(texts.SCHEMA_CURRENT, path=path))

    app.add_typer(group, rich_help_panel=say(texts.HEADING_CARE))
