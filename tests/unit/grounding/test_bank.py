"""A question in new words finds the taught answer, and a stranger finds none."""

import threading

import pytest

from tests.unit.grounding.conftest import CARD, EYES, FEVER
from turkish_ai.grounding import QuestionBank, QuestionBanks, taught_questions
from turkish_ai.grounding.fitting import build_bank
from turkish_ai.sector_data import SectorDataset


@pytest.fixture
def bank(dataset: SectorDataset) -> QuestionBank:
    return build_bank(list(taught_questions(dataset)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Kaybolan kartımı nasıl kapattırabilirim?", CARD),
        ("KARTIM ÇALINDI", CARD),
        ("kartm kayboldu nasl kapatcam", CARD),
        ("oğlumun ateşi düşmüyor", FEVER),
        ("Gözlerim için muayene olmak istiyorum", EYES),
    ],
)
def test_new_words_find_the_taught_answer(bank: QuestionBank, text: str, answer: str) -> None:
    found = bank.find(text)
    assert found is not None
    assert found.answer == answer
    assert 0 < found.confidence <= 1
    assert found.question in {question.text for question in bank.questions if question.answer == answer}


def test_the_question_that_is_shown_is_the_one_most_like_it(bank: QuestionBank) -> None:
    found = bank.find("Kayıp kartın kapatılması nasıl olur")
    assert found is not None
    assert found.question == "Kayıp kartın kapatılması"
    assert found.family == "kart"


@pytest.mark.parametrize("text", ["", "  ", "?!", "😀", "\0", "Ω"])
def test_a_text_with_nothing_to_compare_finds_nothing(bank: QuestionBank, text: str) -> None:
    assert bank.find(text) is None


def test_a_question_that_was_taught_is_surer_than_one_that_was_not(bank: QuestionBank) -> None:
    taught, strange = bank.find("Kartımı kaybettim, ne yapayım?"), bank.find("Bisiklet zinciri yağlamak")
    assert taught is not None
    assert strange is None or strange.confidence < taught.confidence


def test_a_huge_text_is_read_up_to_a_bound(bank: QuestionBank) -> None:
    assert bank.find("kart " * 200_000) == bank.find("kart " * 400)


def test_a_turn_that_leans_on_the_one_before_is_read_with_it(bank: QuestionBank) -> None:
    found = bank.find("Peki hangisine gideyim?", history=["Merhaba", "Gözüm bulanık görüyor"])
    assert found is not None
    assert found.answer == EYES
    changed = bank.find("Kartımı kaybettim, ne yapayım?", history=["Gözüm bulanık görüyor"])
    assert changed is not None
    assert changed.answer == CARD


def test_below_the_threshold_nothing_is_used(bank: QuestionBank) -> None:
    text = "Kartımı kaybettim"
    assert QuestionBanks(lambda _: bank, min_confidence=0.0).find("x", text) is not None
    assert QuestionBanks(lambda _: bank, min_confidence=1.0).find("x", text) is None


def test_a_bank_is_loaded_once_however_many_ask_at_once(bank: QuestionBank) -> None:
    loaded: list[str] = []

    def load(sector: str) -> QuestionBank | None:
        loaded.append(sector)
        return bank if sector == "known" else None

    banks = QuestionBanks(load, min_confidence=0.0)
    threads = [threading.Thread(target=banks.find, args=("known", "kart")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert banks.find("other", "kart") is None
    assert banks.find("other", "kart") is None
    assert loaded == ["known", "other"]
