import numpy as np
import pytest

from turkish_ai.routing.history import follow
from turkish_ai.turkish import fold

BANK, HEALTH, GENERAL = 0, 1, 2
SURE_OF_BANK = np.array([0.9, 0.05, 0.05])
UNCLEAR = np.array([0.3, 0.35, 0.35])
SURE_OF_HEALTH = np.array([0.01, 0.98, 0.01])
SMALL_TALK = np.array([0.02, 0.02, 0.96])


def after(belief: np.ndarray, probabilities: np.ndarray, text: str) -> np.ndarray:
    return follow(belief, probabilities, folded=fold(text), general=GENERAL)


def test_an_unclear_turn_stays_in_the_sector() -> None:
    assert after(SURE_OF_BANK, UNCLEAR, "çıkarsa tekrar açılır").argmax() == BANK


def test_a_clear_change_of_subject_wins() -> None:
    assert after(SURE_OF_BANK, SURE_OF_HEALTH, "doktora randevu istiyorum").argmax() == HEALTH


def test_a_long_turn_leans_less_on_the_past_than_a_short_one() -> None:
    short = after(SURE_OF_BANK, UNCLEAR, "tekrar açılır")
    long = after(SURE_OF_BANK, UNCLEAR, " ".join(["tekrar açılır"] * 10))
    assert short[BANK] > long[BANK]


@pytest.mark.parametrize("text", ["peki ne kadar sürer?", "Neden?", "TAMAM", "24", "3 mü 5 mi"])
def test_a_turn_without_content_stays_even_if_alone_it_is_small_talk(text: str) -> None:
    assert after(SURE_OF_BANK, SMALL_TALK, text).argmax() == BANK


def test_a_greeting_leaves_the_next_question_as_it_is() -> None:
    np.testing.assert_allclose(after(SMALL_TALK, UNCLEAR, "çıkarsa tekrar açılır"), UNCLEAR, atol=0.02)


def test_earlier_turns_fade_as_later_ones_speak() -> None:
    belief = SURE_OF_BANK
    for _ in range(3):
        belief = after(belief, np.array([0.2, 0.7, 0.1]), "başım ağrıyor gibi")
    assert belief.argmax() == HEALTH


def test_the_belief_stays_a_distribution_and_its_argument_as_it_was() -> None:
    before = SURE_OF_BANK.copy()
    assert after(before, UNCLEAR, "tekrar açılır").sum() == pytest.approx(1)
    np.testing.assert_array_equal(before, SURE_OF_BANK)
