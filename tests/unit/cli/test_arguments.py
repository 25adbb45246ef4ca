"""--lang and --debug count wherever they are typed."""

import pytest

from turkish_ai.cli.arguments import read_arguments


@pytest.mark.parametrize(
    "given",
    [["--debug", "--lang", "tr", "serve"], ["serve", "--lang", "tr", "--debug"], ["serve", "--debug", "--lang=tr"]],
)
def test_the_options_for_every_command_may_stand_anywhere(given: list[str]) -> None:
    found = read_arguments(given)
    assert found.language == "tr"
    assert found.debug
    assert found.line[-1] == "serve"
    assert set(found.line[:-1]) <= {"--debug", "--lang", "tr", "--lang=tr"}


def test_what_follows_two_dashes_is_left_where_it_is() -> None:
    found = read_arguments(["chat", "--", "--debug", "--lang", "tr"])
    assert found.line == ("chat", "--", "--debug", "--lang", "tr")
    assert not found.debug
    assert found.language is None


def test_a_language_left_out_is_left_for_the_command_line_to_refuse() -> None:
    assert read_arguments(["serve", "--lang"]).line == ("--lang", "serve")
