"""Every row's own adapter, added to one shared product.

`LoraLinear` stands where the base model had a linear layer. While decoding, row i of the batch multiplies row i of
two tables (`[rows, rank, inputs]` and `[rows, rank, outputs]`) in one batched product each, so a step costs the same
whether its rows use one adapter or as many as there are rows; a row without an adapter holds zeros. Rows of other
requests are never touched: an adapter whose numbers overflow harms its own request alone. A prompt's chunk has one
adapter and uses it directly. (Batched gather of adapters: Chen et al. 2023, "Punica", arXiv 2310.18547; here each
row's matrices are gathered once, when it joins, and not at every step.)
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from turkish_ai.engines.adapters import AdapterWeights
from turkish_ai.engines.embedded.linear import MIN_ROWS

_RANKS = (4, 8, 16, 32, 64, 128, 256)
_KEEP_S = 60.0
"""Tables that are larger than any row has needed for this long are made smaller; making them takes some 100 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpan:
    """Tokens `start` to `end` of the packed batch are computed with `weights`."""

    start: int
    end: int
    weights: AdapterWeights


@dataclass(slots=True)
class LoraStep:
    """Shared by all layers; set before each step."""

    decode_rows: int = 0
    first_row: int = 0
    rank: int = 0  # the largest that a decoding row has; kept by LoraTables
    prefill: list[AdapterSpan] = field(default_factory=list)


class LoraLinear(nn.Module):
    """`base` and, for the rows that have one, the adapter's part for this module."""

    def __init__(self, name: str, base: nn.Module, shape: tuple[int, int], step: LoraStep) -> None:
        super().__init__()
        self.name = name
        self.base = base
        self.inputs, self.outputs = shape
        self._step = step
        self.table_a = torch.empty(0)
        self.table_b = torch.empty(0)
        self.filled: set[int] = set()  # rows that hold something else than zeros

    def forward(self, x: Tensor) -> Tensor:  # [1, tokens, inputs] -> [1, tokens, outputs]
        y: Tensor = self.base(x)
        rows = self._step.decode_rows
        if rows and self.filled:
            computed = max(rows, MIN_ROWS)
            first, beyond, rank = self._step.first_row, self._step.first_row + computed, self._step.rank
            hidden = torch.bmm(self.table_a[first:beyond, :rank], x[0, :computed].unsqueeze(2))  # [rows, rank, 1]
            part = torch.bmm(hidden.transpose(1, 2), self.table_b[first:beyond, :rank])  # [rows, 1, outputs]
            y[0, :rows] += part[:rows, 0]
        for span in self._step.prefill:
            pair = span.weights.modules.get(self.name)
            if pair is not None:
                hidden = x[0, span.start : span.end] @ pair.a.to(torch.float32).T  # [chunk, rank]
                y[0, span.start : span.end] += hidden @ (pair.b.to(torch.float32).T * pair.scaling)
        return y


class LoraTables:
    """Fills, moves and clears the rows of all layers' tables. Used by the worker's thread alone.

    The tables are as wide as the highest rank that rows have had lately, and a step multiplies only as much of them as
    its own rows need: one adapter of a high rank makes the others slower only while it is there.
    """

    def __init__(
        self,
        layers: Mapping[str, LoraLinear],
        *,
        rows: int,
        step: LoraStep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layers = layers
        self._rows = rows + MIN_ROWS - 1  # the last row, too, can be computed with a neighbour
        self._step = step
        self._clock = clock
        self._rank = 0
        self._ranks: dict[int, int] = {}  # row -> rank, of the rows that hold an adapter
        self._needed_at = clock()  # when a row last needed all of the tables
        self.bytes = 0

    def fill(self, row: int, weights: AdapterWeights | None) -> None:
        """Row `row` decodes with `weights` from the next step on; None is the base model."""
        if weights is not None:
            rank = _table_rank(weights.rank)
            if rank > self._rank:
                self._resize(rank)
            self._ranks[row] = rank
        else:
            self._ranks.pop(row, None)
        for name, layer in self._layers.items():
            pair = weights.modules.get(name) if weights is not None else None
            if row in layer.filled:
                layer.table_a[row].zero_()
                layer.table_b[row].zero_()
                layer.filled.discard(row)
            if pair is not None:
                layer.table_a[row, : pair.rank].copy_(pair.a)
                layer.table_b[row, : pair.rank].copy_(pair.b.T).mul_(pair.scaling)
                layer.filled.add(row)
        self._note_ranks()

    def move(self, source: int, target: int) -> None:
        """Row `source` becomes row `target`, whatever was there; `source` is cleared."""
        for layer in self._layers.values():
            if source in layer.filled:
                layer.table_a[target].copy_(layer.table_a[source])
                layer.table_b[target].copy_(layer.table_b[source])
                layer.filled.add(target)
            elif target in layer.filled:
                layer.table_a[target].zero_()
                layer.table_b[target].zero_()
                layer.filled.discard(target)
        self._ranks.pop(target, None)
        if source in self._ranks:
            self._ranks[target] = self._ranks[source]
        self.fill(source, None)

    def shrink(self) -> None:
        """Give memory back that no row has needed for a minute. Call it between steps; mostly it does nothing."""
        if self._rank == self._step.rank:
            self._needed_at = self._clock()
        elif self._clock() - self._needed_at >= _KEEP_S:
            self._resize(self._step.rank)

    def _note_ranks(self) -> None:
        self._step.rank = max(self._ranks.values(), default=0)
        if self._rank == self._step.rank:
            self._needed_at = self._clock()

    def _resize(self, rank: int) -> None:
        for layer in self._layers.values():
            for name, width in (("table_a", layer.inputs), ("table_b", layer.outputs)):
                old: Tensor = getattr(layer, name)
                new = torch.zeros(self._rows if rank else 0, rank, width)
                if old.numel() and rank:
                    kept = min(rank, old.shape[1])
                    new[:, :kept].copy_(old[:, :kept])
                setattr(layer, name, new)
        self._rank = rank
        self.bytes = sum(
            t.numel() * t.element_size() for layer in self._layers.values() for t in (layer.table_a, layer.table_b)
        )


def _table_rank(rank: int) -> int:
    """A few sizes only, so that the tables seldom change theirs."""
    return next((size for size in _RANKS if size >= rank), rank)
