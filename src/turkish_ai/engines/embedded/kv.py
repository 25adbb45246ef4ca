"""KV memory: how much of it is promised to whom, and the tensors that hold it.

`KvBudget` is counted by `scheduler`; `SequenceKv` is filled by `attention`. An answer's whole need (prompt and
longest answer) is reserved when it joins the batch, so a running answer never waits for memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK_TOKENS = 16
"""Reservations are rounded up to this many tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKvShape:
    heads: int
    key_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KvShape:
    """What one token leaves in memory, layer by layer."""

    layers: tuple[LayerKvShape, ...]
    dtype: torch.dtype

    @property
    def bytes_per_token(self) -> int:
        numbers = sum(layer.heads * (layer.key_dim + layer.value_dim) for layer in self.layers)
        return numbers * self.dtype.itemsize


class KvBudget:
    """Counts tokens. `used` never exceeds `capacity`."""

    def __init__(self, *, capacity_tokens: int) -> None:
        self.capacity = capacity_tokens
        self.used = 0

    @staticmethod
    def rounded(tokens: int) -> int:
        return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS

    @staticmethod
    def reserved(*, prompt_tokens: int, max_tokens: int) -> int:
        """What an answer may need at most; the last token is never fed back."""
        return KvBudget.rounded(prompt_tokens + max_tokens - 1)

    def ever_fits(self, tokens: int) -> bool:
        return tokens <= self.capacity

    def fits(self, tokens: int) -> bool:
        return self.used + tokens <= self.capacity

    def reserve(self, tokens: int) -> None:
        assert self.fits(tokens)
        self.used += tokens

    def release(self, tokens: int) -> None:
        self.used -= tokens
        assert self.used >= 0


class SequenceKv:
    """One answer's keys and values. `keys[layer]` is [heads, capacity, key_dim]; positions beyond `length` are junk."""

    __slots__ = ("capacity", "keys", "length", "values")

    def __init__(self, shape: KvShape, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        memory = torch.empty(shape.bytes_per_token // shape.dtype.itemsize * capacity, dtype=shape.dtype)
        offset = 0
        for layer in shape.layers:
            for held, dim in ((self.keys, layer.key_dim), (self.values, layer.value_dim)):
                size = layer.heads * capacity * dim
                held.append(memory[offset : offset + size].view(layer.heads, capacity, dim))
                offset += size

    def copy_from(self, other: "SequenceKv", tokens: int) -> None:
        """Take over another answer's first `tokens` positions: answers to one prompt share its computation."""
        for mine, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            mine[:, :tokens].copy_(theirs[:, :tokens])
        self.length = tokens
