"""How well each adapter foretells each sector's answers: one row a sector, one column an adapter, and the base model.

Called by the command line. Asked are questions of the test split, which nobody was taught, with nothing told: what
counts is whose words an adapter knows. Every figure comes from PEFT's own adapters on transformers' model in fp32, so
that it says something about the files and not about our engine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from turkish_ai.prompts import PromptEncoder, TrainingExample
from turkish_ai.sector_data import SectorDataset, SectorExample
from turkish_ai.training.answer_loss import answer_loss, count_labels
from turkish_ai.training.batches import collate, plan_evaluation
from turkish_ai.training.lora import load_base_model

_BATCH_TOKENS = 2048
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """Nats a token on one sector's test answers. `adapters` are by name, the sector's own among them if it has one."""

    sector: str
    questions: int
    tokens: int
    base: float
    adapters: Mapping[str, float]

    @property
    def own(self) -> float | None:
        return self.adapters.get(self.sector)

    @property
    def best(self) -> str:
        """The adapter with the least loss."""
        return min(self.adapters, key=self.adapters.__getitem__)

    @property
    def own_beats_base(self) -> bool:
        return self.own is not None and self.own < self.base


def loss_matrix(
    datasets: Sequence[SectorDataset],
    *,
    adapters: Mapping[str, Path],
    model_dir: Path,
    encoder: PromptEncoder,
    measured: Callable[[str, str], None] = lambda _sector, _adapter: None,
) -> list[LossRow]:
    """A row for each of `datasets`, a column for each of `adapters` (name to PEFT directory, at least one).

    `measured` is called with each sector and adapter that is done. A sector without test rows is left out.

    Raises:
        BaseModelUnavailable: the base model cannot be loaded.
        ValueError: an adapter does not fit it.
    """
    base = load_base_model(model_dir, device=_CPU, dtype=torch.float32)
    model: Any = None
    for name, path in adapters.items():
        if model is None:
            model = PeftModel.from_pretrained(base, str(path), adapter_name=name)
        else:
            model.load_adapter(str(path), adapter_name=name)
    model.eval()
    examples = {
        dataset.sector: [encoder.encode_example(example.messages) for example in _one_of_each_family(dataset)]
        for dataset in datasets
        if dataset.split("test")
    }
    losses: dict[str, dict[str, float]] = {sector: {} for sector in examples}
    bases: dict[str, float] = {}
    with model.disable_adapter():
        for sector, rows in examples.items():
            bases[sector] = _loss(base, rows)
            measured(sector, "")
    for name in adapters:
        model.set_adapter(name)
        for sector, rows in examples.items():
            losses[sector][name] = _loss(base, rows)
            measured(sector, name)
    return [
        LossRow(
            sector=sector,
            questions=len(rows),
            tokens=sum(count_labels(collate([row], device=_CPU)) for row in rows),
            base=round(bases[sector], 4),
            adapters={name: round(loss, 4) for name, loss in losses[sector].items()},
        )
        for sector, rows in examples.items()
    ]


def _one_of_each_family(dataset: SectorDataset) -> list[SectorExample]:
    """Of the test split. The questions of a family have one answer, and it is the answer that is measured."""
    return list({example.family: example for example in reversed(dataset.split("test"))}.values())[::-1]


@torch.no_grad()
def _loss(model: Any, rows: Sequence[TrainingExample]) -> float:
    """`model` is the causal model, into which PEFT has put its layers."""
    total, labels = 0.0, 0
    for indices in plan_evaluation([len(row.token_ids) for row in rows], batch_tokens=_BATCH_TOKENS):
        batch = collate([rows[index] for index in indices], device=_CPU)
        total += float(answer_loss(model, batch))
        labels += count_labels(batch)
    return total / labels
