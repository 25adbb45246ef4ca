"""What an interrupted training goes on with: one file, written as a whole.

Called by `training.trainer`. Holds tensors, numbers and text alone, so that it is read without running anything from
it (torch.load with weights_only). Knows nothing of how training works.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from turkish_ai.errors import DataError
from turkish_ai.training.durable_files import replace_file

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """`identity` says which recipe, data and base model it belongs to; under another one it is worthless.

    `step` counts finished steps over all epochs, `epoch_loss` and `epoch_labels` are the running epoch's sums.
    `curves` has one (train, dev) pair for each epoch that ended. `best` holds the weights of the epoch with the
    lowest dev loss, if somebody may want them. `forced` says that the run was to train what was trained already.
    """

    identity: str
    step: int
    epoch_loss: float
    epoch_labels: int
    base_dev_loss: float
    curves: list[tuple[float, float]]
    seconds: float
    weights: dict[str, Tensor]
    best: dict[str, Tensor] | None
    optimizer: dict[str, Any]
    rng: dict[str, Tensor]
    forced: bool = False


def save_checkpoint(work_dir: Path, checkpoint: Checkpoint) -> None:
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    replace_file(work_dir / CHECKPOINT_FILE, lambda file: torch.save(content, file))


def has_checkpoint(work_dir: Path) -> bool:
    return (work_dir / CHECKPOINT_FILE).exists()


def load_checkpoint(work_dir: Path, *, identity: str) -> Checkpoint | None:
    """None if there is none, or if it belongs to another recipe, data or base model.

    Raises:
        DataError: the file is not one of ours.
    """
    if not has_checkpoint(work_dir):
        return None
    file = work_dir / CHECKPOINT_FILE
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
        found = Checkpoint(**content)
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(f"{file}: cannot be read ({error}).", remedy="Delete it, or train with force.") from error
    return found if found.identity == identity else None


def is_of_forced_run(work_dir: Path, *, identity: str) -> bool:
    """Whether a forced run of this identity can go on. A file that cannot be read is nobody's."""
    try:
        found = load_checkpoint(work_dir, identity=identity)
    except DataError:
        return False
    return found is not None and found.forced


def delete_checkpoint(work_dir: Path) -> None:
    (work_dir / CHECKPOINT_FILE).unlink(missing_ok=True)


def rng_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
