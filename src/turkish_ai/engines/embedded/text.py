"""Tokens to characters, piece by piece.

`Detokenizer` never gives out half a character; `StopMatcher` never gives out a part of a stop string; both hold back
what is undecided, and `HeldLogprobs` the log-probabilities that would tell it. One of each per answer, used by
`worker`. Knows nothing of batches.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Any

from turkish_ai.messages import TokenLogprob

_CONTEXT_TOKENS = 6
"""Prompt tokens decoded along with the first token: some decoders strip the space before the very first word."""
_MAX_PENDING = 8
"""A character has at most four byte tokens; more that still do not make one are invalid and given out as they are."""
_REPLACEMENT = "\ufffd"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Detokenizer:
    """Incremental decoding with a sliding window over the last whole piece (the way of Hugging Face's TGI)."""

    def __init__(self, tokenizer: Any, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt[-_CONTEXT_TOKENS:])
        self._prefix = 0
        self._read = len(self._ids)
        self._pending = 0  # tokens since the last whole piece that changed the text

    def push(self, token: int) -> str:
        """The characters that this token completes; empty while one is unfinished."""
        self._ids.append(token)
        before, now = self._decoded()
        if len(now) <= len(before):
            if now == before and not self._pending:
                self._ids.pop()  # a special token or another without text: nothing that follows needs it
            return ""
        self._pending += 1
        if now.endswith(_REPLACEMENT) and self._pending < _MAX_PENDING:
            return ""
        self._prefix, self._read, self._pending = self._read, len(self._ids), 0
        return now[len(before) :]

    def flush(self) -> str:
        """What is left at the end, without the beginning of a character that never came."""
        before, now = self._decoded()
        piece = now[len(before) :]
        if piece.endswith(_REPLACEMENT) and not self._wrote_replacement():
            piece = piece.rstrip(_REPLACEMENT)
        self._prefix = self._read = len(self._ids)
        return piece

    def _wrote_replacement(self) -> bool:
        """Whether the model wrote U+FFFD itself, with its own bytes, and not half of another character."""
        raw = b"".join(token_text(self._tokenizer, token)[1] for token in self._ids[self._read :])
        return raw.endswith(_REPLACEMENT.encode())

    def _decoded(self) -> tuple[str, str]:
        decode = self._tokenizer.decode
        return (
            decode(self._ids[self._prefix : self._read], skip_special_tokens=True),
            decode(self._ids[self._prefix :], skip_special_tokens=True),
        )


class StopMatcher:
    """Passes text on until one of `stops` appears; the stop string itself is not given out."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def push(self, piece: str) -> str:
        if not self._stops or self.stopped:
            return "" if self.stopped else piece
        text = self._held + piece
        # The one that is complete first, wherever the pieces are cut; of those that end together, the longest.
        found = min(((at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0), default=None)
        if found is not None:
            self.stopped, self._held = True, ""
            return text[: found[1]]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back and turned out not to be a stop string."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, text: str) -> int:
        """Length of the longest end of `text` that a stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0


class HeldLogprobs:
    """Gives out a token's log-probability with the last of the token's characters, and not before."""

    def __init__(self) -> None:
        self._without_text: list[TokenLogprob] = []  # their character is unfinished
        self._held: deque[tuple[int, TokenLogprob]] = deque()  # with the length of the answer up to their end
        self._written = 0
        self._given = 0

    def push(self, logprobs: Sequence[TokenLogprob], piece: str) -> None:
        """The newest token's, and the characters that it completed."""
        self._without_text += logprobs
        if piece:
            self._written += len(piece)
            self._held += ((self._written, logprob) for logprob in self._without_text)
            self._without_text.clear()

    def pull(self, given: str) -> tuple[TokenLogprob, ...]:
        """Those whose characters have all been given out, `given` being the newest."""
        self._given += len(given)
        free = []
        while self._held and self._held[0][0] <= self._given:
            free.append(self._held.popleft()[1])
        return tuple(free)

    def flush(self) -> tuple[TokenLogprob, ...]:
        """All that are left; for an answer that no stop string ended."""
        left = (*(logprob for _, logprob in self._held), *self._without_text)
        self._held.clear()
        self._without_text.clear()
        return left


def token_text(tokenizer: Any, token: int) -> tuple[str, bytes]:
    """A token as OpenAI's log-probabilities show it: its characters and its bytes."""
    raw = tokenizer.id_to_token(token) or ""
    if match := _BYTE_TOKEN.fullmatch(raw):
        value = bytes([int(match[1], 16)])
        return value.decode("utf-8", errors="replace"), value
    # After itself, because some decoders strip the space before the very first word.
    first = tokenizer.decode([token], skip_special_tokens=False)
    text = tokenizer.decode([token, token], skip_special_tokens=False)[len(first) :]
    if _REPLACEMENT in text and (part := _byte_level(raw)) is not None:
        return text, part
    return text, text.encode("utf-8", errors="replace")


def _byte_level(raw: str) -> bytes | None:
    """Bytes of a byte-level BPE token (GPT-2's alphabet), which writes every byte as a printable character."""
    try:
        return bytes(_BYTE_LEVEL[char] for char in raw)
    except KeyError:
        return None


def _byte_level_alphabet() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(rest)}


_BYTE_LEVEL = _byte_level_alphabet()
