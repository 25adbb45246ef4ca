"""Teach the base model a sector: from `data/sectors/<sector>.jsonl` to `adapters/<sector>/`.

Called by the command line's `train`, through `train_sectors` alone. Importing it is cheap: torch, transformers and
PEFT are loaded when the first sector is trained. Knows nothing of engines, HTTP or the router.

How a file of questions becomes an adapter: `sector_data` reads and checks it, `grounding` finds what each question
would be told, `batches` puts examples of similar length
together, `lora` grows PEFT's layers on the base model, `answer_loss` says how far the answers are off, `trainer`
walks the epochs, `checkpoint` keeps what a later run goes on with, and `adapter_folder` writes the result as one
whole, with its `card`, its `loss_chart` and its `notice`.
"""

from turkish_ai.sector_data import SectorDataset, SectorExample, read_sector_dataset
from turkish_ai.training.progress import (
    LineTrainingProgress,
    RichTrainingProgress,
    SilentTrainingProgress,
    TrainingProgress,
    training_progress_for,
)
from turkish_ai.training.report import EpochLoss, TrainingReport, TrainingStopped
from turkish_ai.training.sectors import train_sectors

__all__ = [
    "EpochLoss",
    "LineTrainingProgress",
    "RichTrainingProgress",
    "SectorDataset",
    "SectorExample",
    "SilentTrainingProgress",
    "TrainingProgress",
    "TrainingReport",
    "TrainingStopped",
    "read_sector_dataset",
    "train_sectors",
    "training_progress_for",
]
