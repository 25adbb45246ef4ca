"""What a training came to, as values.

Made by `training.trainer` and `training.card`; read by the command line. Knows nothing of how it was reached.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLoss:
    """Mean negative log-likelihood of a token of the answers (natural logarithm).

    `train` is the mean over the epoch's steps, while the weights moved; `dev` was measured at its end.
    """

    train: float
    dev: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """`outcome` is `already_trained` if the folder held the result of this very recipe, data and base model.

    `kept_epoch` counts from 1: the epoch whose weights were written. `seconds` is the time that training took, over
    all runs if it was interrupted.
    """

    sector: str
    adapter_dir: Path
    outcome: Literal["trained", "already_trained"]
    examples: Mapping[str, int]
    base_dev_loss: float
    epochs: tuple[EpochLoss, ...]
    kept_epoch: int
    seconds: float
    weights_sha256: str
    weights_bytes: int


class TrainingStopped(KeyboardInterrupt):
    """Somebody asked training to stop, and what was reached is on the disk: the same command goes on from there.

    A KeyboardInterrupt, so that it ends a command as Ctrl-C does and nobody takes it for a failure.
    """

    def __init__(self, *, sector: str, step: int, steps: int) -> None:
        super().__init__(f"Training of {sector} stopped after step {step} of {steps}; the same command goes on.")
        self.sector = sector
        self.step = step
        self.steps = steps
