"""What people see of a training."""

import io
from pathlib import Path

import pytest

from turkish_ai.base_model import Words
from turkish_ai.training.progress import (
    LineTrainingProgress,
    RichTrainingProgress,
    TrainingProgress,
    TrainingStep,
    duration,
    training_progress_for,
)
from turkish_ai.training.report import EpochLoss, TrainingReport

REPORT = TrainingReport(
    sector="legal",
    adapter_dir=Path("adapters/legal"),
    outcome="trained",
    examples={"train": 3, "dev": 1, "test": 1},
    base_dev_loss=4.4,
    epochs=(EpochLoss(train=2.5, dev=2.25),),
    kept_epoch=1,
    seconds=3725.0,
    weights_sha256="0" * 64,
    weights_bytes=3_800_000,
)


def tell(progress: TrainingProgress) -> None:
    progress.sector_started("legal", step=4, steps=6)
    progress.note(Words("loss of the base model: 4.400", tr="temel modelin kaybı: 4,400"))
    for step in (5, 6):
        progress.step_ended(TrainingStep(step=step, steps=6, epoch=1, epochs=1, loss=2.5, eta_s=61.0))
    progress.epoch_ended(1, epochs=1, loss=EpochLoss(train=2.5, dev=2.25))
    progress.sector_ended(REPORT)
    progress.finish()


def test_plain_lines_say_what_a_log_needs() -> None:
    stream = io.StringIO()
    seconds = iter([0.0, 1.0, 40.0, 40.0])
    tell(LineTrainingProgress(stream, clock=lambda: next(seconds)))
    assert stream.getvalue().splitlines() == [
        "legal: continues after step 4 of 6",
        "legal: loss of the base model: 4.400",
        "legal: step 6/6, epoch 1/1, loss 2.500, 1:01 left",
        "legal: epoch 1/1 ended: loss 2.500 on what is taught, 2.250 on topics that are not",
        f"legal: trained in 1:02:05; 3.8 MB in {REPORT.adapter_dir}",
    ]


def test_those_who_read_turkish_are_told_in_turkish() -> None:
    stream = io.StringIO()
    seconds = iter([0.0, 1.0, 40.0, 40.0])
    tell(LineTrainingProgress(stream, language="tr", clock=lambda: next(seconds)))
    assert stream.getvalue().splitlines() == [
        "legal: 6 adımın 4. adımından sürüyor",
        "legal: temel modelin kaybı: 4,400",
        "legal: adım 6/6, tur 1/1, kayıp 2,500, kalan 1:01",
        "legal: tur 1/1 bitti: kayıp öğretilenlerde 2,500, öğretilmeyen konularda 2,250",
        f"legal: 1:02:05 sürede eğitildi; 3,8 MB: {REPORT.adapter_dir}",
    ]
    bar = io.StringIO()
    tell(RichTrainingProgress(bar, language="tr"))
    assert "kayıp öğretilenlerde 2,500" in bar.getvalue()


def test_the_bar_leaves_epochs_and_results_on_the_terminal() -> None:
    stream = io.StringIO()
    tell(RichTrainingProgress(stream))
    said = stream.getvalue()
    assert "epoch 1/1 ended: loss 2.500 on what is taught" in said
    assert "trained in 1:02:05" in said


def test_a_log_gets_lines_and_a_terminal_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(training_progress_for(io.StringIO()), LineTrainingProgress)
    assert isinstance(training_progress_for(Terminal()), RichTrainingProgress)


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3600.0, "1:00:00")])
def test_durations_read_as_clocks_do(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
