"""Build `tokenizer.json` straight from a GGUF file's vocabulary.

Called by `base_model.conversion`. Knows nothing of weights, and needs neither transformers nor tokenizers. What it
builds is what transformers' `gemma_tokenizer` builds from the same file (5.23, `integrations/gguf/
gguf_tokenizer_mapping.py`), in 2 s instead of 20 s and more; a slow test holds the two against each other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from turkish_ai.errors import BaseModelUnavailable

_CONTROL, _USER_DEFINED = 3, 4  # llama.cpp's token types
_SPACE = "\u2581"  # SentencePiece writes a space as this character
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
_MASK_TOKEN = "<mask>"  # noqa: S105 - the name of a vocabulary entry, not a secret


def build_tokenizer(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The contents of `tokenizer.json` and `tokenizer_config.json`. No chat template: the project brings its own.

    Raises:
        BaseModelUnavailable: the vocabulary is of another kind than Gemma's, or incomplete.
    """
    kind = metadata.get("tokenizer.ggml.model")
    if kind != "llama" or "tokenizer.ggml.merges" in metadata or metadata.get("tokenizer.ggml.add_space_prefix", True):
        raise BaseModelUnavailable(
            f"The GGUF file's tokenizer ({kind!r}) is not Gemma's: SentencePiece without merges or a leading space.",
            remedy="Convert this model to a Hugging Face directory and point TURKISH_AI_BASE_MODEL at it.",
        )
    tokens = [_respell(token) for token in metadata["tokenizer.ggml.tokens"]]
    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    if len(vocabulary) != len(tokens):
        raise BaseModelUnavailable(
            f"The GGUF file's vocabulary spells {len(tokens) - len(vocabulary)} of its tokens twice.",
            remedy="Check where the file comes from.",
        )
    roles = _roles(metadata, tokens)
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(metadata, vocabulary, special=set(roles.values())),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": _post_processor(metadata, vocabulary, roles),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": roles.get("unk_token"),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": recover_merges(vocabulary),
        },
    }
    # The generic class takes tokenizer.json as it is; `GemmaTokenizer` would build the same again, more slowly.
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **roles,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
    }
    return tokenizer, config


def recover_merges(vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every way to join two tokens into a third, best first.

    The file lists no merges. Gemma's scores do not follow its merge order and its token ids do, so joins are sorted
    by the id of their result, and joins with one result by the length of their left half, longest first.
    """
    merges: list[tuple[str, str]] = []
    for token, _ in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        for cut in range(len(token) - 1, 0, -1):
            if (left := token[:cut]) in vocabulary and (right := token[cut:]) in vocabulary:
                merges.append((left, right))
    return merges


def _respell(token: str) -> str:
    """GGUF files spell Gemma's tokens of two and more spaces with real ones."""
    return _SPACE * len(token) if " " in token and not token.strip() else token


def _roles(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, str]:
    ids = {role: metadata.get(f"tokenizer.ggml.{name}_token_id") for role, name in _ROLES.items()}
    roles = {role: tokens[token_id] for role, token_id in ids.items() if token_id is not None}
    if _MASK_TOKEN in tokens:
        roles["mask_token"] = _MASK_TOKEN
    return roles


def _added_tokens(
    metadata: Mapping[str, Any], vocabulary: Mapping[str, int], *, special: set[str]
) -> list[dict[str, Any]]:
    """Control tokens are special; user-defined ones are matched whole too, and stay when specials are skipped.

    The respelled runs of spaces are user-defined and left out: the merges find them after the normalizer has run.
    """
    spelled, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    if len(types) != len(spelled):
        raise BaseModelUnavailable(
            f"The GGUF file has {len(spelled)} tokens and {len(types)} token types.",
            remedy="Check where the file comes from.",
        )
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added: list[dict[str, Any]] = []
    for token_id, (token, token_type) in enumerate(zip(spelled, types, strict=True)):
        is_special = token in special or token_type == _CONTROL
        if is_special or (token_type == _USER_DEFINED and token in vocabulary):
            added.append({"id": token_id, "content": token, **flags, "special": is_special})
    return added


def _post_processor(
    metadata: Mapping[str, Any], vocabulary: Mapping[str, int], roles: Mapping[str, str]
) -> dict[str, Any]:
    # Files that do not say want the first token added, as llama.cpp does for a SentencePiece vocabulary.
    bos = roles.get("bos_token") if metadata.get("tokenizer.ggml.add_bos_token", True) else None
    eos = roles.get("eos_token") if metadata.get("tokenizer.ggml.add_eos_token", False) else None

    def side(sequence: str, type_id: int) -> list[dict[str, Any]]:
        token = [{"SpecialToken": {"id": name, "type_id": type_id}} if name else None for name in (bos, eos)]
        pieces = [token[0], {"Sequence": {"id": sequence, "type_id": type_id}}, token[1]]
        return [piece for piece in pieces if piece is not None]

    return {
        "type": "TemplateProcessing",
        "single": side("A", 0),
        "pair": side("A", 0) + side("B", 1),
        "special_tokens": {
            name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in (bos, eos) if name is not None
        },
    }
