"""`turkish_ai.json`: what an adapter is, how it was made, and how one is recognised again.

Called by `training.adapter_folder` and `training.trainer`; the engine reads `base_fingerprint` and `weights_sha256`
from it. Knows nothing of models.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from turkish_ai.training.durable_files import read_optional
from turkish_ai.training.recipe import Recipe
from turkish_ai.training.report import EpochLoss, TrainingReport

CARD_FILE = "turkish_ai.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
"""PEFT's own description, without which nobody can read the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Everything that the card says apart from the weights' hash."""

    identity: str
    sector: str
    base_name: str
    base_fingerprint: str
    recipe: Recipe
    data_sha256: str
    tokens_sha256: str
    examples: Mapping[str, int]
    base_dev_loss: float
    epochs: tuple[EpochLoss, ...]
    kept_epoch: int
    seconds: float
    versions: Mapping[str, str]
    created: datetime


def card_text(record: TrainingRecord, *, weights_sha256: str) -> str:
    described = {
        "sector": record.sector,
        "base_model": record.base_name,
        "base_fingerprint": record.base_fingerprint,
        "weights_sha256": weights_sha256,
        "identity": record.identity,
        "recipe": record.recipe.as_json(),
        "seed": record.recipe.seed,
        "data_sha256": record.data_sha256,
        "tokens_sha256": record.tokens_sha256,
        "examples": dict(record.examples),
        "epochs": len(record.epochs),
        "kept_epoch": record.kept_epoch,
        "base_dev_loss": round(record.base_dev_loss, 6),
        "train_loss": [round(loss.train, 6) for loss in record.epochs],
        "dev_loss": [round(loss.dev, 6) for loss in record.epochs],
        "seconds": round(record.seconds, 1),
        "versions": dict(record.versions),
        "created": record.created.isoformat(timespec="seconds"),
    }
    return json.dumps(described, ensure_ascii=False, indent=2) + "\n"


def finished_training(adapter_dir: Path, *, identity: str) -> TrainingReport | None:
    """The report of the run that made the folder, if it was one of this identity, its weights are untouched and it can
    be served."""
    content = read_optional(adapter_dir / CARD_FILE)
    weights = read_optional(adapter_dir / WEIGHTS_FILE)
    if content is None or weights is None or not (adapter_dir / CONFIG_FILE).is_file():
        return None
    try:
        card: Any = json.loads(content)
        weights_sha256 = hashlib.sha256(weights).hexdigest()
        if card["identity"] != identity or card["weights_sha256"] != weights_sha256:
            return None
        return TrainingReport(
            sector=card["sector"],
            adapter_dir=adapter_dir,
            outcome="already_trained",
            examples=card["examples"],
            base_dev_loss=card["base_dev_loss"],
            epochs=tuple(
                EpochLoss(train=train, dev=dev) for train, dev in zip(card["train_loss"], card["dev_loss"], strict=True)
            ),
            kept_epoch=card["kept_epoch"],
            seconds=card["seconds"],
            weights_sha256=weights_sha256,
            weights_bytes=len(weights),
        )
    except (ValueError, KeyError, TypeError):
        return None  # somebody else's card, or one that was edited: training writes it anew
