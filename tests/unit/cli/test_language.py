"""Who is spoken to in Turkish, and how numbers and texts are said."""

import string

import pytest

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker, Text, choose_language
from turkish_ai.errors import SettingsError


@pytest.mark.parametrize(
    ("asked", "env", "expected"),
    [
        (None, {}, "en"),
        (None, {"LANG": "tr_TR.UTF-8"}, "tr"),
        (None, {"LANG": "tr"}, "tr"),
        (None, {"LANG": "en_US.UTF-8"}, "en"),
        (None, {"LANG": "trv_TW.UTF-8"}, "en"),
        (None, {"LANG": "C.UTF-8", "LC_MESSAGES": "tr_TR.UTF-8"}, "tr"),
        (None, {"LANG": "tr_TR.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        (None, {"LC_ALL": "tr_TR.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "tr"),
        (None, {"LC_ALL": "", "LANG": "tr_TR.UTF-8"}, "tr"),
        (None, {"TURKISH_AI_LANG": "en", "LC_ALL": "tr_TR.UTF-8"}, "en"),
        (None, {"TURKISH_AI_LANG": "tr", "LC_ALL": "C"}, "tr"),
        (None, {"TURKISH_AI_LANG": "TR", "LC_ALL": "C"}, "tr"),
        ("tr", {"TURKISH_AI_LANG": "en"}, "tr"),
        ("de", {"LANG": "tr_TR.UTF-8"}, "tr"),
    ],
)
def test_the_option_wins_then_the_variable_then_the_locale(
    asked: str | None, env: dict[str, str], expected: str
) -> None:
    assert choose_language(asked=asked, env=env) == expected


def test_a_variable_that_names_no_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"TURKISH_AI_LANG is 'de'.*tr and en"):
        choose_language(asked=None, env={"TURKISH_AI_LANG": "de"})


def test_numbers_and_percentages_are_written_as_each_language_writes_them() -> None:
    assert Speaker("tr").number(1234.5, digits=1) == "1.234,5"
    assert Speaker("en").number(1234.5, digits=1) == "1,234.5"
    assert Speaker("tr").percent(0.934) == "%93"
    assert Speaker("en").percent(0.934) == "93%"


def every_text() -> dict[str, Text]:
    found = {name: value for name, value in vars(texts).items() if isinstance(value, Text)}
    found |= {f"ROUTER_SCORES.{name}": text for name, text in texts.ROUTER_SCORES}
    found |= {f"ROUTER_STYLES.{name}": text for name, text in texts.ROUTER_STYLES.items()}
    found |= {f"CHAT_PHASES.{name}": text for name, text in texts.CHAT_PHASES.items()}
    return found | {f"ERROR_KINDS.{code}": text for code, text in texts.ERROR_KINDS.items()}


@pytest.mark.parametrize("name", every_text())
def test_both_languages_say_the_same_things(name: str) -> None:
    text = every_text()[name]
    assert text.tr.strip()
    assert text.en.strip()
    assert fields(text.tr) == fields(text.en)
    assert text.tr.count("[bold]") == text.en.count("[bold]")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
