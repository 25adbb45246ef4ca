"""A tiny random model of each family, a small sector to teach it, and one call that trains."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from tests.fakes.tiny_models import CHAT_TEMPLATE, make_model
from turkish_ai.prompts import PromptEncoder
from turkish_ai.sector_data import SectorDataset, read_sector_dataset
from turkish_ai.settings import LoraConfig
from turkish_ai.training.progress import SilentTrainingProgress, TrainingProgress, TrainingStep
from turkish_ai.training.report import TrainingReport
from turkish_ai.training.trainer import train_adapter

SECTOR = "finance_banking"
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FINGERPRINT = "f" * 64
_PAIRS = {
    "kart": ("train", "Kartımı kaybettim, ne yapmalıyım?", "Kartınızı hemen kapattırın."),
    "havale": ("train", "Havale ne kadar sürer?", "Havale aynı bankada hemen ulaşır."),
    "eft": ("train", "EFT saat kaça kadar?", "EFT iş günlerinde yapılır; FAST her saatte açıktır."),
    "faiz": ("train", "Faiz nedir?", "Paranın kullanım bedelidir."),
    "kefil": ("dev", "Kefil olursam ne olur?", "Borç ödenmezse siz ödersiniz."),
    "kasa": ("dev", "Kiralık kasa nedir?", "Bankada değerli eşya saklanan kasadır."),
    "cek": ("test", "Çek nedir?", "Bankaya yazılı ödeme emridir."),
}


def row(**changes: Any) -> dict[str, Any]:
    """A line that can be used, with `changes`; a value of None takes the key away."""
    made: dict[str, Any] = {
        "id": f"{SECTOR}-0001",
        "sector": SECTOR,
        "family": "kart",
        "style": "plain",
        "split": "train",
        "messages": [{"role": "user", "content": "Soru?"}, {"role": "assistant", "content": "Yanıt."}],
        "provenance": "written for this project",
    } | changes
    return {key: value for key, value in made.items() if value is not None}


def write_sector(file: Path) -> Path:
    rows = []
    for family, (split, question, answer) in _PAIRS.items():
        for number, asked in enumerate((question, f"Merhaba. {question}", f"{question} Teşekkürler.")):
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
            rows.append(row(id=f"{family}-{number}", family=family, split=split, messages=messages))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rows), encoding="utf-8")
    return file


def recipe(**changes: Any) -> LoraConfig:
    values = {
        "rank": 4,
        "alpha": 8,
        "dropout": 0.1,
        "target_modules": MODULES,
        "max_rank": 64,
        "epochs": 2,
        "learning_rate": 0.01,
        "warmup_ratio": 0.1,
        "batch_tokens": 128,
        "precision": "fp32",
        "sampled_tokens": 64,
        "grounded": True,
        "closed_book_ratio": 0.5,
        "questions_per_answer": 2,
        "opening_tokens": 2,
        "opening_weight": 4.0,
        "seed": 5,
    }
    return LoraConfig.model_validate(values | changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A base model, its encoder and a sector; `train` writes to `root`/adapter."""

    base: Path
    encoder: PromptEncoder
    dataset: SectorDataset
    root: Path

    @property
    def adapter(self) -> Path:
        return self.root / "adapters" / SECTOR

    @property
    def work_dir(self) -> Path:
        return self.root / "work"

    def train(
        self,
        lora: LoraConfig | None = None,
        *,
        progress: TrainingProgress | None = None,
        stop: Event | None = None,
        early_stopping: bool = False,
        force: bool = False,
        dataset: SectorDataset | None = None,
        base_name: str = "tiny",
    ) -> TrainingReport:
        return train_adapter(
            sector=SECTOR,
            dataset=dataset or self.dataset,
            model_dir=self.base,
            base_name=base_name,
            base_fingerprint=FINGERPRINT,
            encoder=self.encoder,
            lora=lora or recipe(),
            no_answer="Bilmiyorum; bankaya sorun.",
            out_dir=self.adapter,
            work_dir=self.work_dir,
            progress=progress or SilentTrainingProgress(),
            stop=stop,
            early_stopping=early_stopping,
            force=force,
        )


class Watcher(SilentTrainingProgress):
    """Remembers what it was told and calls `at_step` after every step."""

    def __init__(self, at_step: Callable[[TrainingStep], None] = lambda step: None) -> None:
        self.notes: list[str] = []
        self.started: list[tuple[int, int]] = []
        self.steps: list[TrainingStep] = []
        self.ended: list[TrainingReport] = []
        self._at_step = at_step

    def sector_started(self, sector: str, *, step: int, steps: int) -> None:
        self.started.append((step, steps))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step_ended(self, step: TrainingStep) -> None:
        self.steps.append(step)
        self._at_step(step)

    def sector_ended(self, report: TrainingReport) -> None:
        self.ended.append(report)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take many times as long for a tiny model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {family: make_model(family, root / family) for family in ("gemma3", "llama")}


@pytest.fixture(scope="session")
def encoders(tiny_bases: dict[str, Path]) -> dict[str, PromptEncoder]:
    return {
        family: PromptEncoder(base, chat_template=CHAT_TEMPLATE, stop_tokens=("<end_of_turn>",), system_prompt=None)
        for family, base in tiny_bases.items()
    }


@pytest.fixture
def workshops(
    tiny_bases: dict[str, Path], encoders: dict[str, PromptEncoder], tmp_path: Path
) -> Callable[..., Workshop]:
    """Make a workshop in a folder of its own."""

    def make(name: str = "a", *, family: str = "gemma3") -> Workshop:
        file = write_sector(tmp_path / name / f"{SECTOR}.jsonl")
        return Workshop(
            base=tiny_bases[family],
            encoder=encoders[family],
            dataset=read_sector_dataset(file, sector=SECTOR),
            root=tmp_path / name,
        )

    return make


@pytest.fixture
def workshop(workshops: Callable[..., Workshop]) -> Workshop:
    return workshops()
