"""Train the adapters of some sectors, one after the other, as the command line asks for it.

Called by `turkish_ai.cli`. The one place in this room that knows `Settings` and signals; knows nothing of tensors.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from turkish_ai.base_model import BaseModelSource, Words, ensure_base_model, fingerprint
from turkish_ai.errors import SettingsError, UnknownSector
from turkish_ai.messages import GENERAL
from turkish_ai.prompts import PromptEncoder
from turkish_ai.sector_data import read_sector_dataset
from turkish_ai.settings import SECTOR_IDS, Settings, is_sector_or_general
from turkish_ai.training.progress import TrainingProgress
from turkish_ai.training.report import TrainingReport

if TYPE_CHECKING:
    from turkish_ai.training.loss_matrix import LossRow

_STOPPING = Words(
    "stopping after this step; once more stops at once", tr="bu adımdan sonra duruyor; bir daha Ctrl-C hemen durdurur"
)


def train_sectors(
    settings: Settings,
    sectors: Sequence[str],
    *,
    progress: TrainingProgress,
    force: bool = False,
    early_stopping: bool = False,
    epochs: int | None = None,
    out_dir: Path | None = None,
) -> list[TrainingReport]:
    """Train each of `sectors` with the configured recipe; `epochs` overrides its number of epochs.

    The adapters are written below `out_dir`, by default the configured adapters directory. Every sector's data is
    checked before the first one is trained. A sector that was trained with the same recipe, data and base model is
    not trained again unless `force`. The first Ctrl-C or SIGTERM, on the main thread, ends the running step, saves
    what was reached and raises TrainingStopped; the second ends at once.

    Raises:
        UnknownSector: before anything else.
        DataError: a data file cannot be used; nothing was trained.
        TrainingStopped: the adapters of the sectors before are finished, and the same call goes on.
        BaseModelUnavailable, UnsupportedModel, SettingsError: see `train_adapter`.
    """
    wanted = list(dict.fromkeys(sectors))
    for sector in wanted:
        if not is_sector_or_general(sector):
            raise UnknownSector(
                f"There is no sector {sector!r}.", remedy=f"Known: {', '.join((*SECTOR_IDS, GENERAL))}."
            )
    lora = settings.config.lora
    if epochs is not None:
        if epochs < 1:
            raise SettingsError(f"epochs is {epochs}; at least 1 is needed.")
        lora = lora.model_copy(update={"epochs": epochs})
    datasets = [read_sector_dataset(settings.sector_data_dir / f"{name}.jsonl", sector=name) for name in wanted]
    try:
        model_dir = ensure_base_model(
            _base_model(settings),
            cache_dir=settings.cache_dir,
            progress=progress.preparing,
        )
        encoder = _encoder(settings, model_dir)
        base_fingerprint = fingerprint(model_dir)
        from turkish_ai.training.trainer import train_adapter  # torch, transformers and PEFT: seconds of imports

        with _stop_on_signal(lambda: progress.note(_STOPPING)) as stop:
            return [
                train_adapter(
                    sector=dataset.sector,
                    dataset=dataset,
                    model_dir=model_dir,
                    base_name=settings.base_model_name,
                    base_fingerprint=base_fingerprint,
                    encoder=encoder,
                    lora=lora,
                    no_answer=_no_answer(settings, dataset.sector),
                    out_dir=(out_dir or settings.adapters_dir) / _folder(settings, dataset.sector),
                    work_dir=settings.data_dir / "training" / dataset.sector,
                    progress=progress,
                    stop=stop,
                    early_stopping=early_stopping,
                    force=force,
                )
                for dataset in datasets
            ]
    finally:
        progress.finish()


def measure_losses(
    settings: Settings,
    *,
    progress: TrainingProgress,
    measured: Callable[[str, str], None] = lambda _sector, _adapter: None,
) -> "list[LossRow]":
    """The loss matrix of every sector that has data and an adapter folder; see `loss_matrix`.

    Raises:
        DataError: a data file cannot be used.
        BaseModelUnavailable: the base model cannot be fetched or loaded.
    """
    from turkish_ai.training.loss_matrix import loss_matrix

    folders = {
        name: settings.adapters_dir / folder for name, folder in settings.config.adapter_folders.items() if folder
    }
    adapters = {name: folder for name, folder in folders.items() if folder.is_dir()}
    datasets = [read_sector_dataset(settings.sector_data_dir / f"{name}.jsonl", sector=name) for name in adapters]
    model_dir = ensure_base_model(_base_model(settings), cache_dir=settings.cache_dir, progress=progress.preparing)
    return loss_matrix(
        datasets, adapters=adapters, model_dir=model_dir, encoder=_encoder(settings, model_dir), measured=measured
    )


def _base_model(settings: Settings) -> BaseModelSource:
    return BaseModelSource(
        source=settings.base_model,
        sha256=settings.base_model_sha256,
        revision=settings.config.base_model.revision,
    )


def _encoder(settings: Settings, model_dir: Path) -> PromptEncoder:
    template = settings.chat_template_path
    return PromptEncoder(
        model_dir,
        chat_template=template.read_text(encoding="utf-8") if template else None,
        stop_tokens=settings.config.tokenizer.stop_tokens,
        system_prompt=settings.config.tokenizer.system_prompt,
    )


def _no_answer(settings: Settings, sector: str) -> str:
    configured = settings.config.sector(sector)
    assert configured is not None  # every sector is configured, or the settings were refused
    return configured.no_answer_tr


def _folder(settings: Settings, sector: str) -> str:
    """The configured folder, else the sector's own name."""
    configured = settings.config.sector(sector)
    return configured.adapter if configured is not None and configured.adapter else sector


@contextmanager
def _stop_on_signal(told: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set. Only the main thread may handle signals; elsewhere nothing sets it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        told()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
