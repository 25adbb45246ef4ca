"""Turkish or English: which one a person reads, and how a text is said in it.

Used by everything in `cli`. `texts` holds what is said. Knows nothing of commands, and is handed the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from turkish_ai.errors import SettingsError

Language = Literal["tr", "en"]
LANGUAGES: tuple[Language, ...] = ("tr", "en")
LANGUAGE_VARIABLE = "TURKISH_AI_LANG"
_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # POSIX: the first that is set decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One thing to say, in both languages. `{names}` in braces are filled in when it is said; both have the same."""

    tr: str
    en: str


class Speaker:
    """Says texts, numbers and sector names in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, text: Text, **values: object) -> str:
        chosen = text.tr if self.language == "tr" else text.en
        return chosen.format(**values) if values else chosen

    def percent(self, ratio: float) -> str:
        whole = round(ratio * 100)
        return f"%{whole}" if self.language == "tr" else f"{whole}%"

    def number(self, value: float, *, digits: int = 0) -> str:
        """1,234.5 in English is 1.234,5 in Turkish."""
        english = f"{value:,.{digits}f}"
        return english.translate(_SWAPPED) if self.language == "tr" else english


_SWAPPED = str.maketrans(",.", ".,")


def choose_language(*, asked: str | None, env: Mapping[str, str]) -> Language:
    """`asked` (--lang) wins, then TURKISH_AI_LANG, then the locale: Turkish where that is Turkish, else English.

    An `asked` that is no language is passed over: the command line refuses it by itself, in some language.

    Raises:
        SettingsError: TURKISH_AI_LANG names a language that is not spoken here.
    """
    for language in LANGUAGES:
        if asked == language:
            return language
    if configured := env.get(LANGUAGE_VARIABLE):
        for language in LANGUAGES:
            if configured.casefold() == language:
                return language
        raise SettingsError(
            f"{LANGUAGE_VARIABLE} is {configured!r}; allowed are {' and '.join(LANGUAGES)}.",
            remedy="Set one of them, or leave it out: then the locale decides.",
            message_tr=f"{LANGUAGE_VARIABLE} {configured!r}; olabilecekler: {' ve '.join(LANGUAGES)}.",
            remedy_tr="Birini yazın ya da boş bırakın: o zaman sistemin dili kullanılır.",
        )
    return locale_language(env)


def locale_language(env: Mapping[str, str]) -> Language:
    locale = next((value for name in _LOCALE_VARIABLES if (value := env.get(name))), "")
    return "tr" if locale.partition(".")[0].partition("_")[0] == "tr" else "en"
