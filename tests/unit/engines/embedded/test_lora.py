"""The tables of the decoding rows' adapters: right in every row, only as wide as needed, and given back."""

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from turkish_ai.engines.adapters import AdapterWeights, LoraPair
from turkish_ai.engines.embedded.lora import LoraLinear, LoraStep, LoraTables
from turkish_ai.messages import AdapterRef

INPUTS, OUTPUTS, ROWS = 24, 40, 5


def adapter(rank: int, seed: int = 0, scaling: float = 0.5) -> AdapterWeights:
    generator = torch.Generator().manual_seed(seed)
    pair = LoraPair(
        a=torch.randn(rank, INPUTS, generator=generator),
        b=torch.randn(OUTPUTS, rank, generator=generator),
        scaling=scaling,
    )
    ref = AdapterRef(name=f"r{rank}", sha256=f"{rank}-{seed}", path=Path("x"))
    return AdapterWeights(ref=ref, modules={"proj": pair}, rank=rank, bytes=0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Tables:
    def __init__(self) -> None:
        self.step, self.clock = LoraStep(), Clock()
        base = nn.Linear(INPUTS, OUTPUTS, bias=False).requires_grad_(False)
        nn.init.zeros_(base.weight)
        self.layer = LoraLinear("proj", base, (INPUTS, OUTPUTS), self.step)
        self.tables = LoraTables({"proj": self.layer}, rows=ROWS, step=self.step, clock=self.clock)

    def decoded(self, rows: int) -> torch.Tensor:
        self.step.decode_rows = rows
        x = torch.randn(1, max(rows, 2), INPUTS, generator=torch.Generator().manual_seed(9))
        with torch.inference_mode():
            return self.layer(x)[0, :rows]

    def expected(self, row: int, weights: AdapterWeights | None) -> torch.Tensor:
        x = torch.randn(1, ROWS, INPUTS, generator=torch.Generator().manual_seed(9))[0, row]
        if weights is None:
            return torch.zeros(OUTPUTS)
        pair = weights.modules["proj"]
        return pair.b @ (pair.a @ x) * pair.scaling


@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("fill"), st.integers(0, ROWS - 1), st.sampled_from([0, 1, 4, 5, 16, 64])),
            st.tuples(st.just("move"), st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)),
            st.tuples(st.just("wait"), st.just(0), st.integers(0, 100)),
        ),
        max_size=20,
    )
)
def test_every_row_is_computed_with_its_own_adapter_whatever_came_and_went(
    moves: list[tuple[str, int, int]],
) -> None:
    world = Tables()
    held: dict[int, AdapterWeights | None] = dict.fromkeys(range(ROWS))
    for number, (what, row, other) in enumerate(moves):
        if what == "fill":
            held[row] = adapter(other, seed=number) if other else None
            world.tables.fill(row, held[row])
        elif what == "move" and row != other:
            held[other], held[row] = held[row], None
            world.tables.move(row, other)
        elif what == "wait":
            world.clock.now += other
            world.tables.shrink()
    decoded = world.decoded(ROWS)
    for row, weights in held.items():
        assert torch.allclose(decoded[row], world.expected(row, weights), rtol=1e-4, atol=1e-4)


def test_a_high_rank_costs_the_others_nothing_once_it_has_left() -> None:
    world = Tables()
    world.tables.fill(0, adapter(8))
    small, alone = world.tables.bytes, world.decoded(1)
    world.tables.fill(1, adapter(64))
    assert world.step.rank == 64
    assert world.tables.bytes == 8 * small
    world.tables.fill(1, None)
    assert world.step.rank == 8, "the next step multiplies no more than before"
    assert torch.equal(world.decoded(1), alone)

    world.clock.now = 59
    world.tables.shrink()
    assert world.tables.bytes == 8 * small, "it may come back"
    world.clock.now = 61
    world.tables.shrink()
    assert world.tables.bytes == small
    assert torch.equal(world.decoded(1), alone)


def test_a_rank_that_keeps_coming_back_keeps_its_tables_and_the_last_to_leave_frees_all() -> None:
    world = Tables()
    for _ in range(5):
        world.tables.fill(0, adapter(64))
        world.tables.shrink()
        large = world.tables.bytes
        world.tables.fill(0, None)
        world.clock.now += 50
        world.tables.shrink()
        assert world.tables.bytes == large
    world.clock.now += 50
    world.tables.shrink()
    assert world.tables.bytes == 0
    world.tables.fill(2, adapter(4))
    assert torch.allclose(world.decoded(ROWS)[2], world.expected(2, adapter(4)), rtol=1e-4, atol=1e-4)
