"""Everything that decides what a training comes to, as one value with an identity.

Called by `training.trainer`; kept in `turkish_ai.json`. Two runs of one identity make the same adapter on the same
machine with the same libraries. Knows nothing of how training works.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from turkish_ai.prompts import TrainingExample
from turkish_ai.settings import LoraConfig

_FORMAT = 1
"""Goes up when the same recipe would come to something else."""

FINAL_LEARNING_RATE_RATIO = 0.1
MAX_GRADIENT_NORM = 1.0
WEIGHT_DECAY = 0.0
EARLY_STOPPING_PATIENCE_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    epochs: int
    learning_rate: float
    warmup_ratio: float
    batch_tokens: int
    seed: int
    precision: str
    sampled_tokens: int
    grounded: bool
    closed_book_ratio: float
    questions_per_answer: int
    opening_tokens: int
    opening_weight: float
    early_stopping: bool
    final_learning_rate_ratio: float = FINAL_LEARNING_RATE_RATIO
    max_gradient_norm: float = MAX_GRADIENT_NORM
    weight_decay: float = WEIGHT_DECAY

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"target_modules": list(self.target_modules)}


def make_recipe(config: LoraConfig, *, early_stopping: bool) -> Recipe:
    return Recipe(
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
        target_modules=tuple(sorted(config.target_modules)),
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_ratio=config.warmup_ratio,
        batch_tokens=config.batch_tokens,
        seed=config.seed,
        precision=config.precision,
        sampled_tokens=config.sampled_tokens,
        grounded=config.grounded,
        closed_book_ratio=config.closed_book_ratio,
        questions_per_answer=config.questions_per_answer,
        opening_tokens=config.opening_tokens,
        opening_weight=config.opening_weight,
        early_stopping=early_stopping,
    )


def tokens_sha256(*splits: Sequence[TrainingExample]) -> str:
    """Of what the model sees: another chat template or tokenizer is another training."""
    found = hashlib.sha256()
    for split in splits:
        found.update(json.dumps([[example.token_ids, example.labels] for example in split]).encode())
    return found.hexdigest()


def identity(recipe: Recipe, *, sector: str, base_fingerprint: str, tokens_sha256: str) -> str:
    """Of what training sees: a corrected test row changes the data file and not the adapter."""
    described = [_FORMAT, recipe.as_json(), sector, base_fingerprint, tokens_sha256]
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def learning_rate_ratio(step: int, *, steps: int, warmup_ratio: float) -> float:
    """Share of the learning rate at `step` of `steps`, counted from 0: a linear rise, then half a cosine to 10 %."""
    warmup_steps = max(1, round(steps * warmup_ratio))
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - 1 - warmup_steps)
    return FINAL_LEARNING_RATE_RATIO + (1 - FINAL_LEARNING_RATE_RATIO) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
