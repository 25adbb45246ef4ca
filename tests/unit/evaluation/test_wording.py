"""What an answer's words tell."""

import pytest

from turkish_ai.evaluation.wording import facts_said, is_turkish, repetition


@pytest.mark.parametrize(
    "text",
    [
        "Bu konuda güvenilir bilgim yok; bankanızın müşteri hizmetlerine danışın.",
        "Basvurunuzu e-Devlet uzerinden yapabilir, sonucu oradan izleyebilirsiniz.",
        "KART KAYBOLDUYSA HEMEN BANKAYI ARAYIN, SONRA YENİSİNİ İSTEYİN.",
    ],
)
def test_turkish_is_recognised_however_it_is_typed(text: str) -> None:
    assert is_turkish(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "…?!",
        "12 345",
        "The model is a 3D model of a human body, which is used in many games.",
        "Die Versicherung zahlt, wenn der Schaden gemeldet wurde und für alle gilt.",
        "def main(args): return sum(x for x in args)",
    ],
)
def test_other_languages_and_no_words_are_not_turkish(text: str) -> None:
    assert not is_turkish(text)


def test_repetition_is_the_share_of_runs_that_stood_before() -> None:
    assert repetition("") == 0
    assert repetition("bir iki üç dört beş altı") == 0
    assert repetition("hava durumu hava durumu hava durumu hava durumu") == pytest.approx(3 / 5)


def test_a_fact_is_said_in_any_of_its_wordings_and_any_typing() -> None:
    answer = "İnternetten alınan üründen 14 GÜN içinde cayabilirsiniz; Hakem Heyeti'ne de başvurulur."
    assert facts_said(answer, ["14 gün", "hakem heyeti|tahkim", "noter"]) == 2
    assert facts_said(answer, ["15 gün"]) == 0
    assert facts_said(answer, []) == 0
