"""Turn a conversation into the model's tokens, the same way in serving and in training.

Used by `engines.embedded` and `training`. Knows nothing of adapters, batches or HTTP. Special tokens come from the
chat template alone: those that a user types are taken apart, so nobody can write a turn in another role's name.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turkish_ai.errors import InvalidRequest, UnsupportedModel
from turkish_ai.messages import Message

IGNORED_LABEL = -100
"""Label of a token that takes no part in the loss, as in torch's cross_entropy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingExample:
    """`labels[i]` is `token_ids[i]` inside an answer, its end of turn included, and IGNORED_LABEL elsewhere."""

    token_ids: tuple[int, ...]
    labels: tuple[int, ...]


class PromptEncoder:
    """The tokenizer and chat template of one base model.

    The model's own chat template wins; `chat_template` is for a model that brings none. What ends an answer is whatever
    the tokenizer, the model's generation config or `stop_tokens` name; of the latter, those that a model with its own
    template does not have are no concern of it.

    Raises:
        UnsupportedModel: there is no template at all, or a stop token is not one token of the vocabulary.
    """

    def __init__(
        self, model_dir: Path, *, chat_template: str | None, stop_tokens: Sequence[str], system_prompt: str | None
    ) -> None:
        from transformers import AutoTokenizer  # seconds of imports; `--version` and `doctor` must not pay them

        self._hf: Any = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
        self.backend: Any = self._hf.backend_tokenizer
        self.backend.no_truncation()  # a tokenizer.json can bring a limit, and would cut prompts without a word
        self.backend.no_padding()
        self._system_prompt = system_prompt
        brings_template = bool(self._hf.chat_template)
        self._template = self._hf.chat_template if brings_template else chat_template
        if not self._template:
            raise UnsupportedModel(
                f"{model_dir} brings no chat template and none is configured.",
                remedy="Set tokenizer.chat_template in configs/model_config.json.",
            )
        self.stop_ids = self._find_stop_ids(model_dir, stop_tokens, must_exist=not brings_template)
        specials = {str(t.content) for t in self._hf.added_tokens_decoder.values() if t.special}
        self._special_pattern = re.compile(_any_of(specials)) if specials else None
        self._characters_per_token = _characters_per_token(self.backend, self._hf.added_tokens_decoder.values())

    @property
    def vocabulary_size(self) -> int:
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation, ready for the model to answer. Raises InvalidRequest, as `render`."""
        return self.tokens(self.render(messages))

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as the model reads it, up to where its answer begins.

        Raises:
            InvalidRequest: the model's template does not take such a conversation.
        """
        return self._render(self._complete(messages), generation_prompt=True)

    def tokens(self, text: str) -> list[int]:
        # A batch of one: unlike `encode`, it lets other threads run (840,000 characters held them 0.26 s, now 0.004 s).
        return list(self.backend.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def least_tokens(self, text: str) -> int:
        """How many tokens `text` has at least. Costs nothing: it is told from the longest token of the vocabulary."""
        return -(-len(text) // self._characters_per_token) if self._characters_per_token else 0

    def encode_example(self, messages: Sequence[Message]) -> TrainingExample:
        """A conversation for training: every answer is learnt, every question only read.

        Raises:
            ValueError: the last message is not an answer.
            UnsupportedModel: the template does not write a conversation turn after turn.
        """
        conversation = self._complete(messages)
        if not conversation or conversation[-1].role != "assistant":
            raise ValueError("a training conversation ends with an answer")
        ids: list[int] = []
        labels: list[int] = []
        done = ""
        for position, message in enumerate(conversation):
            if message.role != "assistant":
                continue
            before = self._render(conversation[:position], generation_prompt=True)
            after = self._render(conversation[: position + 1], generation_prompt=False)
            if not (before.startswith(done) and after.startswith(before)):
                raise UnsupportedModel(
                    "The chat template writes earlier turns otherwise once another follows, so an example of several "
                    "turns cannot be cut into questions and answers.",
                    remedy="Train on examples of one question and one answer, or choose another base model.",
                )
            question, answer = self.tokens(before[len(done) :]), self.tokens(after[len(before) :])
            ids += question + answer
            labels += [IGNORED_LABEL] * len(question) + self._up_to_stop(answer)
            done = after
        return TrainingExample(token_ids=tuple(ids), labels=tuple(labels))

    def _up_to_stop(self, answer: list[int]) -> list[int]:
        """The answer as labels; what the template writes after the end of turn is never generated, so not learnt."""
        for position, token in enumerate(answer):
            if token in self.stop_ids:
                return answer[: position + 1] + [IGNORED_LABEL] * (len(answer) - position - 1)
        return answer

    def _complete(self, messages: Sequence[Message]) -> list[Message]:
        cleaned = [Message(role=m.role, content=self._defuse(m.content)) for m in messages]
        if self._system_prompt and not any(m.role == "system" for m in cleaned):
            cleaned.insert(0, Message(role="system", content=self._system_prompt))
        return cleaned

    def _defuse(self, text: str) -> str:
        """`<end_of_turn>` becomes `< end_of_turn>`: readable, and no longer a special token."""
        if self._special_pattern is None:
            return text
        return self._special_pattern.sub(lambda found: found.group()[0] + " " + found.group()[1:], text)

    def _render(self, messages: Sequence[Message], *, generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        try:
            rendered = self._hf.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in messages],
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=generation_prompt,
            )
        except TemplateError as error:
            raise InvalidRequest(
                f"The base model's chat template does not take this conversation: {error}.",
                remedy="Change the order or the roles of the messages.",
                param="messages",
            ) from error
        return str(rendered)

    def _find_stop_ids(self, model_dir: Path, stop_tokens: Sequence[str], *, must_exist: bool) -> frozenset[int]:
        found = set(_ends_of_generation(model_dir))
        if self._hf.eos_token_id is not None:
            found.add(int(self._hf.eos_token_id))
        for token in stop_tokens:
            token_id = self.backend.token_to_id(token)
            if token_id is not None:
                found.add(int(token_id))
            elif must_exist:
                raise UnsupportedModel(
                    f"Stop token {token!r} is not in the base model's vocabulary.",
                    remedy="Mend tokenizer.stop_tokens in configs/model_config.json.",
                )
        return frozenset(found)


def _ends_of_generation(model_dir: Path) -> list[int]:
    """`eos_token_id` where transformers' `generate` finds it; a chat model names its end of turn there."""
    for name in ("generation_config.json", "config.json"):
        file = model_dir / name
        if not file.exists():
            continue
        try:
            described = json.loads(file.read_text(encoding="utf-8"))
            ends = described.get("eos_token_id")
        except (OSError, ValueError, AttributeError) as error:
            raise UnsupportedModel(f"{file} cannot be read ({error}).", remedy="Copy it again.") from error
        ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
        if not all(isinstance(end, int) for end in ends):
            raise UnsupportedModel(f"{file}: eos_token_id is {ends!r}; expected token numbers.", remedy="Mend it.")
        return ends
    return []


def _any_of(words: Iterable[str]) -> str:
    """A pattern for any of `words`, the longest that fits, which reads each character once.

    They are written as a tree, so no two branches begin alike: the 6,249 special tokens of Gemma as plain alternatives
    took 10 s for a megabyte of "<", the tree takes some milliseconds.
    """
    tree: dict[str, Any] = {}
    for word in words:
        node = tree
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}  # a word ends here
    return _as_pattern(tree)


def _as_pattern(node: dict[str, Any]) -> str:
    by_rest: dict[str, list[str]] = {}
    for char, following in node.items():
        if char:
            by_rest.setdefault(_as_pattern(following), []).append(re.escape(char))
    branches = [(chars[0] if len(chars) == 1 else f"[{''.join(chars)}]") + rest for rest, chars in by_rest.items()]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")


def _characters_per_token(tokenizer: Any, added_tokens: Iterable[Any]) -> int | None:
    """How many characters one token can stand for at most; None where the vocabulary does not tell.

    It tells where every byte has a token, so that no unknown stretch becomes one, and nothing is dropped on the way.
    """
    model, vocabulary = tokenizer.model, tokenizer.get_vocab(with_added_tokens=True)
    if type(model).__name__ != "BPE" or any(token.lstrip or token.rstrip for token in added_tokens):
        return None
    factor = _shortening(_description(tokenizer.normalizer))
    splits = _description(tokenizer.pre_tokenizer)
    by_bytes = model.byte_fallback and all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    if not by_bytes and not any(part["type"] == "ByteLevel" for part in splits):
        return None
    if factor is None or not all(
        part["type"] in ("ByteLevel", "Metaspace", "Digits", "Split") and part.get("behavior") != "Removed"
        for part in splits
    ):
        return None
    return factor * max(map(len, vocabulary))


def _description(part: Any) -> list[dict[str, Any]]:
    """A normalizer or pre-tokenizer as tokenizer.json writes it, its parts one after another."""
    if part is None:
        return []
    described = json.loads(part.__getstate__())
    if described["type"] != "Sequence":
        return [described]
    parts: list[dict[str, Any]] = described.get("normalizers") or described.get("pretokenizers") or []
    return parts


def _shortening(normalizers: list[dict[str, Any]]) -> int | None:
    """How many characters become one at most. NFC composes up to four (U+1F82 and others)."""
    factor = 1
    for part in normalizers:
        if part["type"] == "NFC":
            factor *= 4
        elif part["type"] == "Replace":
            replaced = part["pattern"].get("String")
            if replaced is None or len(replaced) > len(part["content"]):
                return None
        elif part["type"] != "Prepend":
            return None
    return factor
