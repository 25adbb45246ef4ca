"""Typer's own words in the person's language: headings, the help option, usage errors.

Used where the application is built. Typer translates little and takes that from a system catalogue, so its words are
replaced here, at the places it offers for it: the command classes and the constants of `rich_utils`. What is not
known here stays English.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from turkish_ai.cli.language import Language

_OPTIONS_TR = {
    "--help": "Bu yardımı göster ve çık.",
    "--install-completion": "Kabuk (shell) için komut tamamlamayı kur.",
    "--show-completion": "Komut tamamlama betiğini göster.",
}
_USAGE_TR = (
    ("Usage:", "Kullanım:"),
    ("[OPTIONS]", "[SEÇENEKLER]"),
    ("COMMAND [ARGS]...", "KOMUT [ARGÜMANLAR]..."),
)
_USAGE_ERRORS_TR = (
    (r"No such option: (\S+) \(Possible options: (.+)\)", r"\1 diye bir seçenek yok. Şunu mu demek istediniz: \2?"),
    (r"No such option: (\S+)", r"\1 diye bir seçenek yok."),
    (r"No such command '(.+?)'\. Did you mean (.+)\?", r"\1 diye bir komut yok. Şunu mu demek istediniz: \2?"),
    (r"No such command '(.+)'\.", r"\1 diye bir komut yok."),
    (r"Missing command\.", "Komut verilmedi."),
    (r"Missing (?:argument|option|parameter) '(.+)'\.(?s:.*)", r"\1 verilmedi."),
    (r"Option '(.+)' requires an argument\.", r"\1 bir değer ister."),
    (r"Option '(.+)' does not take a value\.", r"\1 değer almaz."),
    (r"Got unexpected extra argument\S* \((.+)\)", r"Fazladan verilen: \1"),
    (r"Invalid value for '(.+?)': (.+) is not one of (.+)\.", r"\1 için geçersiz değer: \2. Olabilecekler: \3"),
    (r"Invalid value for '(.+?)': Input should be a valid integer.*", r"\1 bir tam sayı ister."),
    (r"Invalid value for '(.+?)': Input should be greater than or equal to (.+)", r"\1 en az \2 olabilir."),
    (r"Invalid value for '(.+?)': Input should be less than or equal to (.+)", r"\1 en çok \2 olabilir."),
    (r"Invalid value for '(.+?)': (.+)", r"\1 için geçersiz değer: \2"),
)


_TYPES: dict[str, tuple[str, str]] = {
    "str": ("metin", "text"),
    "int": ("sayı", "number"),
    "dir": ("klasör", "folder"),
    "file": ("dosya", "file"),
    "path": ("yol", "path"),
}
"""Typer's names of types, in Turkish and English words."""


class EnglishCommand(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        _show_types(self.get_params(ctx), "en")
        super().format_help(ctx, formatter)


class EnglishGroup(TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        _show_types(self.get_params(ctx), "en")
        super().format_help(ctx, formatter)


class TurkishCommand(TyperCommand):
    def get_usage(self, ctx: Any) -> str:
        return _usage_in_turkish(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _put_into_turkish(self.get_params(ctx))
        super().format_help(ctx, formatter)


class TurkishGroup(TyperGroup):
    def get_usage(self, ctx: Any) -> str:
        return _usage_in_turkish(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _put_into_turkish(self.get_params(ctx))
        super().format_help(ctx, formatter)


def command_class(language: Language) -> type[TyperCommand]:
    return TurkishCommand if language == "tr" else EnglishCommand


def group_class(language: Language) -> type[TyperGroup]:
    return TurkishGroup if language == "tr" else EnglishGroup


def usage_error(message: str, language: Language) -> str:
    """Typer's message, in one line and in `language` where it is one of those known here."""
    message = " ".join(message.split()).replace("Value error, ", "")
    if language == "tr":
        for pattern, turkish in _USAGE_ERRORS_TR:
            if (found := re.fullmatch(pattern, message)) is not None:
                message = found.expand(turkish)
                break
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _usage_in_turkish(usage: str) -> str:
    for english, turkish in _USAGE_TR:
        usage = usage.replace(english, turkish, 1)
    return usage


def _show_types(params: Iterable[Any], language: Language) -> None:
    """`<number>` for what takes one; nothing beside a flag, which takes none, and an argument, whose name says it."""
    for param in params:
        param.display_type_rich = _shown_type(param, language)


def _shown_type(param: Any, language: Language) -> Callable[..., str | None]:
    typers: Callable[..., str | None] = param.display_type_rich

    def shown(ctx: Any) -> str | None:
        if param.param_type_name == "argument" or getattr(param, "is_flag", False):
            return None
        found = typers(ctx=ctx)
        if found is None or (known := re.match(r"<(?:list\[)?(\w+)", found)) is None:
            return found
        for name, (tr, en) in _TYPES.items():
            if known[1].lower().startswith(name):
                return f"<{tr if language == 'tr' else en}>"
        return found

    return shown


def _put_into_turkish(options: list[Any]) -> None:
    from typer import rich_utils  # 0.08 s of imports, which a help page pays anyway

    _show_types(options, "tr")

    rich_utils.ARGUMENTS_PANEL_TITLE = "Argümanlar"
    rich_utils.OPTIONS_PANEL_TITLE = "Seçenekler"
    rich_utils.COMMANDS_PANEL_TITLE = "Komutlar"
    rich_utils.DEFAULT_STRING = "[verilmezse: {}]"
    rich_utils.REQUIRED_LONG_STRING = "[zorunlu]"
    rich_utils.ENVVAR_STRING = "[ortam değişkeni: {}]"
    for option in options:
        for name in option.opts:
            option.help = _OPTIONS_TR.get(name, option.help)
