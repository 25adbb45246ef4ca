"""A bank is fitted once, kept as a file that runs no code, and made again if the file or the data changed."""

import os
from pathlib import Path

import pytest

from tests.unit.grounding.conftest import SECTOR
from turkish_ai.errors import DataError
from turkish_ai.grounding import ensure_bank, load_bank, question_banks, taught_questions
from turkish_ai.grounding.files import bank_path, to_bytes
from turkish_ai.grounding.fitting import build_bank
from turkish_ai.sector_data import SectorDataset, read_sector_dataset
from turkish_ai.settings import Settings


def test_the_same_data_gives_the_same_bytes(dataset: SectorDataset) -> None:
    questions = list(taught_questions(dataset))
    assert to_bytes(build_bank(questions)) == to_bytes(build_bank(questions))


def test_what_is_read_back_answers_as_what_was_fitted(settings: Settings, dataset: SectorDataset) -> None:
    fitted = ensure_bank(settings, SECTOR)
    read = load_bank(bank_path(settings, dataset))
    for text in ("kartım nerede", "ateş", "Peki?", "göz"):
        assert read.find(text) == fitted.find(text)


def test_the_second_time_nothing_is_fitted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_bank(settings, SECTOR)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("turkish_ai.grounding.fitting.build_bank", refuse)
    assert len(ensure_bank(settings, SECTOR)) == 11


@pytest.mark.parametrize("content", [b"", b"not a bank", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_broken_file_is_made_again(settings: Settings, dataset: SectorDataset, content: bytes) -> None:
    ensure_bank(settings, SECTOR)
    path = bank_path(settings, dataset)
    whole = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a question bank"):
        load_bank(path)
    ensure_bank(settings, SECTOR)
    assert path.read_bytes() == whole


def test_other_data_is_another_file(settings: Settings, dataset: SectorDataset) -> None:
    before = bank_path(settings, dataset)
    file = settings.sector_data_dir / f"{SECTOR}.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("kaybettim", "yitirdim"), encoding="utf-8")
    assert bank_path(settings, read_sector_dataset(file, sector=SECTOR)) != before


def test_a_cache_that_cannot_be_written_is_named_with_its_remedy(settings: Settings) -> None:
    settings.cache_dir.mkdir()
    (settings.cache_dir / "grounding").write_text("in the way")
    with pytest.raises(DataError, match="TURKISH_AI_CACHE_DIR"):
        ensure_bank(settings, SECTOR)


def test_no_half_file_is_left_when_writing_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match="No space left"):
        ensure_bank(settings, SECTOR)
    assert [path for path in (settings.cache_dir / "grounding").iterdir() if path.suffix != ".lock"] == []


def test_a_sector_without_data_has_no_bank(settings: Settings) -> None:
    banks = question_banks(settings)
    assert banks.find("legal", "dava açmak istiyorum") is None
    assert banks.find(SECTOR, "Kartımı kaybettim, ne yapayım?") is not None


def test_the_repositorys_questions_are_found_in_other_words(tmp_path: Path) -> None:
    """The share that the adapters can answer rests on this: measured 0.90, 0.87 and 0.82 in three sectors."""
    from turkish_ai.evaluation import read_recall_questions
    from turkish_ai.settings import load_settings

    settings = load_settings().model_copy(update={"cache_dir": tmp_path})
    for sector in ("finance_banking", "healthcare", "ecommerce"):
        data = read_sector_dataset(settings.sector_data_dir / f"{sector}.jsonl", sector=sector)
        asked = read_recall_questions(settings.recall_data_dir / f"{sector}.jsonl", dataset=data)
        bank = ensure_bank(settings, sector)
        taught = [question for question in asked if question.family != "unknown"]
        right = sum((found := bank.find(q.text)) is not None and found.family == q.family for q in taught)
        assert right >= 0.75 * len(taught), sector
