"""The tokenizer that comes out of a GGUF vocabulary, as its users see it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.unit.base_model.conftest import NORMAL, write_tiny_gguf
from turkish_ai.base_model.gguf_file import read_gguf_header
from turkish_ai.base_model.tokenizer_build import build_tokenizer, recover_merges
from turkish_ai.errors import BaseModelUnavailable


@pytest.fixture(scope="module")
def metadata(tiny_gguf: Path) -> dict[str, Any]:
    return dict(read_gguf_header(tiny_gguf).metadata)


@pytest.fixture(scope="module")
def tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    document, _ = build_tokenizer(metadata)
    return Tokenizer.from_str(json.dumps(document))


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


def test_it_equals_the_tokenizer_that_transformers_builds_from_the_file(tiny_gguf: Path, tokenizer: Tokenizer) -> None:
    from transformers import AutoTokenizer

    theirs: Any = AutoTokenizer.from_pretrained(tiny_gguf.parent, gguf_file=tiny_gguf.name)
    assert json.loads(tokenizer.to_str()) == json.loads(theirs.backend_tokenizer.to_str())


def test_a_text_starts_with_the_first_token_and_ends_without_one(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("merhaba").tokens == ["<bos>", "merhaba"]


@pytest.mark.parametrize("text", ["merhaba  mumlar", "İğne\n\nıssız", "emoji 🙂 ve \t", " ", "", "   ", "x▁y"])
def test_any_text_comes_back_from_its_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == text.replace("▁", " ")


def test_characters_outside_the_vocabulary_become_their_bytes(tokenizer: Tokenizer) -> None:
    assert tokens(tokenizer, "€") == ["<0xE2>", "<0x82>", "<0xAC>"]


def test_a_run_of_spaces_is_one_token(tokenizer: Tokenizer) -> None:
    assert tokens(tokenizer, "a  b") == ["a", "▁▁", "b"]


def test_control_tokens_are_special_and_user_defined_ones_are_not(tokenizer: Tokenizer) -> None:
    text = "<start_of_turn>a[multimodal]"
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a[multimodal]"


def test_there_is_no_chat_template_and_padding_is_on_the_left(metadata: dict[str, Any]) -> None:
    _, config = build_tokenizer(metadata)
    assert "chat_template" not in config
    assert config["padding_side"] == "left"
    assert (config["bos_token"], config["eos_token"], config["pad_token"]) == ("<bos>", "<eos>", "<pad>")


def test_joins_are_ordered_by_their_result_and_then_by_the_longest_left_half() -> None:
    vocabulary = {token: token_id for token_id, token in enumerate(["abc", "a", "b", "c", "ab", "bc"])}
    assert recover_merges(vocabulary) == [("ab", "c"), ("a", "bc"), ("a", "b"), ("b", "c")]


def test_a_file_that_adds_neither_first_nor_last_token_gets_neither(metadata: dict[str, Any]) -> None:
    document, _ = build_tokenizer(metadata | {"tokenizer.ggml.add_bos_token": False})
    assert Tokenizer.from_str(json.dumps(document)).encode("merhaba").tokens == ["merhaba"]


def test_a_file_that_adds_the_last_token_gets_it(metadata: dict[str, Any]) -> None:
    document, _ = build_tokenizer(metadata | {"tokenizer.ggml.add_eos_token": True})
    tokenizer = Tokenizer.from_str(json.dumps(document))
    assert tokenizer.encode("merhaba").tokens == ["<bos>", "merhaba", "<eos>"]


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer.ggml.model": "gpt2"},
        {"tokenizer.ggml.merges": ["a b"]},
        {"tokenizer.ggml.add_space_prefix": True},
        {"tokenizer.ggml.token_type": [NORMAL]},
    ],
)
def test_a_vocabulary_of_another_kind_is_refused(metadata: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(BaseModelUnavailable):
        build_tokenizer(metadata | change)


def test_a_vocabulary_that_spells_a_token_twice_is_refused(tmp_path: Path) -> None:
    def repeat(parts: dict[str, Any]) -> None:
        parts["tokens"].append(("merhaba", NORMAL))

    header = read_gguf_header(write_tiny_gguf(tmp_path / "twice.gguf", repeat))
    with pytest.raises(BaseModelUnavailable, match="spells 1 of its tokens twice"):
        build_tokenizer(header.metadata)
