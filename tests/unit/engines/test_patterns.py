"""Patterns of a PEFT config: as `re` matches them, in bounded time, or refused."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turkish_ai.engines.patterns import Pattern, UnsupportedPattern

PATHS = [
    f"model.layers.{layer}.{module}"
    for layer in (0, 1, 11, 21)
    for module in ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")
]

_character = st.sampled_from(["a", "b", "1", ".", r"\.", r"\d", r"\w", "[ab]", "[^a]", "[a-b1]", "_"])
_item = st.builds(str.__add__, _character, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{1,}", "*?", "+?"]))
_pattern = st.recursive(
    st.lists(st.one_of(_item, st.sampled_from(["^", "$", r"\b"])), max_size=4).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})?"),
        st.lists(inner, max_size=3).map("".join),
    ),
    max_leaves=6,
)


@given(source=_pattern, text=st.text(alphabet="ab1._", max_size=9))
@example(source="a|b", text="b")
@example(source="", text="a.")
def test_a_pattern_matches_what_re_matches(source: str, text: str) -> None:
    pattern = Pattern(source)
    assert pattern.fullmatch(text) == bool(re.fullmatch(source, text))
    assert pattern.matches_end_of_path(text) == bool(re.match(rf"(.*\.)?({source})$", text))


@pytest.mark.parametrize(
    "source",
    [
        r".*\.(q|k|v|o)_proj",
        r"model\.layers\.(?:0|1|2[0-9])\.self_attn\.[qo]_proj",
        r"layers\.\d+\.mlp\..*",
        r"(?:.*?(?:language|layers).*?(?:self_attn|mlp).*?(?:q_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.mlp)",
        "q_proj",
        "layers.1.self_attn.q_proj",
    ],
)
def test_patterns_that_are_in_use_choose_the_same_modules(source: str) -> None:
    pattern = Pattern(source)
    assert [p for p in PATHS if pattern.fullmatch(p)] == [p for p in PATHS if re.fullmatch(source, p)]
    ends = [p for p in PATHS if pattern.matches_end_of_path(p)]
    assert ends == [p for p in PATHS if re.match(rf"(.*\.)?({source})$", p)]


@pytest.mark.parametrize(
    "source",
    [
        "(a+)+$",
        "(a|b)*",
        "(?i)q_proj",
        "(?!x).*",
        r"(a)\1",
        r"\Aq",
        "q{99999999999999}",
        "q{,3}",
        "q{3,2}",
        "(",
        ")",
        "a)|(b",
        "[",
        "[]",
        "a**",
        "a++",
        "a{2}{3}",
        "*",
        "^*",
        "\\",
        "(" * 200 + "q" + ")" * 200,
        "q" * 2000,
    ],
)
def test_what_is_not_matched_here_is_refused(source: str) -> None:
    with pytest.raises(UnsupportedPattern):
        Pattern(source)


@pytest.mark.parametrize("source", [".?" * 250 + "!", ".*" * 250 + "!", "(.|..)" * 85, ".{0,16}" * 70])
def test_no_pattern_chooses_its_own_time(source: str) -> None:
    """`re` doubles its time with every `.?`. Here the steps are counted: each reads one character of the path."""
    read = 0

    class Counting(str):
        __slots__ = ()

        def __getitem__(self, place: object) -> str:
            nonlocal read
            read += 1
            return str.__getitem__(self, place)  # type: ignore[index]

    path = Counting("model.layers.0.self_attn.q_proj")
    Pattern(source).matches_end_of_path(path)
    assert read <= 16 * len(source) * len(path)
