"""Characters come out whole, stop strings never leak."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from turkish_ai.engines.embedded.text import Detokenizer, StopMatcher, token_text


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    """Every byte is a token: the hardest case for whole characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module")
def byte_fallback() -> Tokenizer:
    """SentencePiece's way, as Gemma's: words with ▁, unknown characters as <0x..> tokens."""
    pieces = ["<unk>", *[f"<0x{b:02X}>" for b in range(256)], "▁", "a", "b", "▁ab"]
    tokenizer = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def pushed(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    return [detokenizer.push(i) for i in ids] + [detokenizer.flush()]


@given(text=st.text(max_size=40))
@example(text="a\ufffd")
@settings(deadline=None)
def test_pieces_join_to_the_text_and_none_holds_half_a_character(byte_level: Tokenizer, text: str) -> None:
    ids = byte_level.encode(text).ids
    pieces = pushed(Detokenizer(byte_level, []), ids)
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_turkish_letters_and_emoji_arrive_whole_with_byte_fallback(byte_fallback: Tokenizer) -> None:
    text = "ğş😀ı"
    ids = [byte_fallback.token_to_id(f"<0x{b:02X}>") for b in text.encode()]
    pieces = [p for p in pushed(Detokenizer(byte_fallback, []), ids) if p]
    assert pieces == ["ğ", "ş", "😀", "ı"]


def test_an_answer_cut_inside_a_character_ends_before_it(byte_fallback: Tokenizer) -> None:
    ids = [byte_fallback.token_to_id(f"<0x{b:02X}>") for b in "a😀".encode()[:-1]]
    assert "".join(pushed(Detokenizer(byte_fallback, []), ids)) == "a"


def test_bytes_that_never_make_a_character_do_not_hold_up_the_rest(byte_fallback: Tokenizer) -> None:
    broken = [byte_fallback.token_to_id("<0xFF>")] * 9
    text = "".join(pushed(Detokenizer(byte_fallback, []), [*broken, byte_fallback.token_to_id("a")]))
    assert text.endswith("a")
    assert set(text[:-1]) <= {"\ufffd"}


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 20])
def test_tokens_without_text_do_not_cut_the_character_after_them(byte_fallback: Tokenizer, count: int) -> None:
    byte_fallback.add_special_tokens(["<special>"])
    bytes_of = [byte_fallback.token_to_id(f"<0x{b:02X}>") for b in "ğş".encode()]
    detokenizer = Detokenizer(byte_fallback, [byte_fallback.token_to_id("a")])
    pieces = pushed(detokenizer, [byte_fallback.token_to_id("<special>")] * count + bytes_of)
    assert [p for p in pieces if p] == ["ğ", "ş"]


def test_the_space_before_a_word_is_kept(byte_fallback: Tokenizer) -> None:
    word = byte_fallback.token_to_id("▁ab")
    assert "".join(pushed(Detokenizer(byte_fallback, [byte_fallback.token_to_id("a")]), [word, word])) == " ab ab"


@example(text="aaİa", stops=["İ", "aİa"], cuts=[3])
@given(
    text=st.text(alphabet="abcİı\n", max_size=30),
    stops=st.lists(st.text(alphabet="abcİı\n", min_size=1, max_size=4), min_size=1, max_size=3),
    cuts=st.lists(st.integers(1, 5), max_size=30),
)
def test_a_stop_string_ends_the_text_wherever_the_pieces_are_cut(text: str, stops: list[str], cuts: list[int]) -> None:
    matcher, given_out, rest = StopMatcher(stops), "", text
    for size in cuts:
        given_out += matcher.push(rest[:size])
        rest = rest[size:]
        assert not any(stop in given_out for stop in stops)
    given_out += matcher.push(rest) + matcher.flush()
    first = min(((at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0), default=None)
    assert matcher.stopped == (first is not None)
    assert given_out == (text if first is None else text[: first[1]])


def test_what_cannot_become_a_stop_string_is_not_held_back() -> None:
    matcher = StopMatcher(["DUR"])
    assert matcher.push("merhaba D") == "merhaba "
    assert matcher.push("ünya") == "Dünya"


def test_tokens_are_shown_with_their_bytes(byte_level: Tokenizer, byte_fallback: Tokenizer) -> None:
    first, second = byte_level.encode("ğ").ids
    assert token_text(byte_level, first)[1] + token_text(byte_level, second)[1] == "ğ".encode()
    assert token_text(byte_fallback, byte_fallback.token_to_id("<0xC4>"))[1] == b"\xc4"
    assert token_text(byte_fallback, byte_fallback.token_to_id("▁ab")) == (" ab", b" ab")


def test_a_token_keeps_its_space_where_the_decoder_strips_the_first(byte_fallback: Tokenizer) -> None:
    """As Llama 2's tokenizer does."""
    strips = Tokenizer.from_str(byte_fallback.to_str())
    strips.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    for token, text in (("▁ab", " ab"), ("▁", " "), ("a", "a")):
        assert token_text(strips, strips.token_to_id(token)) == (text, text.encode())
