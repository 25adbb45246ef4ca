"""Write a trained adapter: PEFT's two files, our card, the chart and the notice, as one whole.

Called by `training.trainer`. What it writes is read by the engine, by vLLM and by PEFT itself. Nothing in it names a
path of the machine that trained. Knows nothing of how the weights came about.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from turkish_ai.training.card import CARD_FILE, WEIGHTS_FILE, TrainingRecord, card_text
from turkish_ai.training.durable_files import replaced_directory
from turkish_ai.training.loss_chart import loss_chart
from turkish_ai.training.notice import notice
from turkish_ai.training.report import TrainingReport

CONFIG_FILE = "adapter_config.json"
CHART_FILE = "loss.svg"
NOTICE_FILE = "NOTICE"


def write_adapter(
    adapter_dir: Path,
    *,
    weights: Mapping[str, Tensor],
    peft_config: Mapping[str, Any],
    record: TrainingRecord,
    model_type: str,
) -> TrainingReport:
    """Replace `adapter_dir`. Until everything is written it holds what it held before, or does not exist."""
    stored = save(
        {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in sorted(weights.items())},
        metadata={"format": "pt"},
    )
    weights_sha256 = hashlib.sha256(stored).hexdigest()
    texts = {
        CONFIG_FILE: json.dumps(dict(peft_config), indent=2, sort_keys=True) + "\n",
        CARD_FILE: card_text(record, weights_sha256=weights_sha256),
        CHART_FILE: loss_chart(
            f"{record.sector}: loss of a token of the answers",
            base_dev_loss=record.base_dev_loss,
            epochs=record.epochs,
            kept_epoch=record.kept_epoch,
        ),
        NOTICE_FILE: notice(base_name=record.base_name, model_type=model_type, sector=record.sector),
    }
    with replaced_directory(adapter_dir) as folder:
        (folder / WEIGHTS_FILE).write_bytes(stored)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return TrainingReport(
        sector=record.sector,
        adapter_dir=adapter_dir,
        outcome="trained",
        examples=record.examples,
        base_dev_loss=record.base_dev_loss,
        epochs=record.epochs,
        kept_epoch=record.kept_epoch,
        seconds=record.seconds,
        weights_sha256=weights_sha256,
        weights_bytes=len(stored),
    )
