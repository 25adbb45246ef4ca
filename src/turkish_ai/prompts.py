"""Turn a conversation into the model's tokens, the same way in serving and in training.

Used by `engines.embedded` and `training`. Knows nothing of adapters, batches or HTTP. Special tokens come from the
chat template alone: those that a user types are taken apart, so nobody can write a turn in another role's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turkish_ai.errors import UnsupportedModel
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

    The model's own chat template wins; `chat_template` and `stop_tokens` are for a model that brings none.

    Raises:
        UnsupportedModel: there is no template at all, or a stop token is not one token of the vocabulary.
    """

    def __init__(
        self, model_dir: Path, *, chat_template: str | None, stop_tokens: Sequence[str], system_prompt: str | None
    ) -> None:
        from transformers import AutoTokenizer  # seconds of imports; `--version` and `doctor` must not pay them

        self._hf: Any = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
        self.backend: Any = self._hf.backend_tokenizer
        self._system_prompt = system_prompt
        brings_template = bool(self._hf.chat_template)
        self._template = self._hf.chat_template if brings_template else chat_template
        if not self._template:
            raise UnsupportedModel(
                f"{model_dir} brings no chat template and none is configured.",
                remedy="Set tokenizer.chat_template in configs/model_config.json.",
            )
        self.stop_ids = self._find_stop_ids(() if brings_template else stop_tokens)
        specials = sorted(
            {str(t.content) for t in self._hf.added_tokens_decoder.values() if t.special}, key=len, reverse=True
        )
        self._special_pattern = re.compile("|".join(map(re.escape, specials))) if specials else None

    @property
    def vocabulary_size(self) -> int:
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation, ready for the model to answer."""
        return self._tokens(self._render(self._complete(messages), generation_prompt=True))

    def encode_example(self, messages: Sequence[Message]) -> TrainingExample:
        """A conversation for training: every answer is learnt, every question only read.

        Raises:
            ValueError: the last message is not an answer.
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
            question, answer = self._tokens(before[len(done) :]), self._tokens(after[len(before) :])
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
        rendered = self._hf.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in messages],
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=generation_prompt,
        )
        return str(rendered)

    def _tokens(self, text: str) -> list[int]:
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def _find_stop_ids(self, stop_tokens: Sequence[str]) -> frozenset[int]:
        found = set()
        if self._hf.eos_token_id is not None:
            found.add(int(self._hf.eos_token_id))
        for token in stop_tokens:
            token_id = self.backend.token_to_id(token)
            if token_id is None:
                raise UnsupportedModel(
                    f"Stop token {token!r} is not in the base model's vocabulary.",
                    remedy="Mend tokenizer.stop_tokens in configs/model_config.json.",
                )
            found.add(int(token_id))
        return frozenset(found)
