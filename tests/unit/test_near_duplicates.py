"""Which questions are the same one with a word changed."""

import random

from turkish_ai.near_duplicates import NEAR, near_duplicates, shingles


def test_typing_makes_no_difference_and_another_question_does() -> None:
    texts = [
        "Kira artış oranı neye göre belirleniyor?",
        "Depozitomu geri alamıyorum, ne yapmalıyım?",
        "KIRA ARTIŞ ORANI NEYE GÖRE BELİRLENİYOR",
        "kira artis orani neye gore belirlenir",
    ]
    assert list(near_duplicates(texts)) == [(0, 2), (0, 3), (2, 3)]


def test_texts_without_letters_are_no_pair() -> None:
    assert list(near_duplicates(["", "?!", "…", "ab", "ab"])) == [(3, 4)]


def test_every_pair_is_found_that_comparing_all_would_find() -> None:
    chance = random.Random(7)
    words = ["kira", "tapu", "aidat", "depozito", "ev", "sahibi", "komşu", "belediye", "dava", "sözleşme"]
    texts = [" ".join(chance.choices(words, k=chance.randint(1, 5))) for _ in range(300)]
    sets = [shingles(text) for text in texts]
    pairs = [(i, j) for j in range(len(texts)) for i in range(j)]
    alike = {(i, j) for i, j in pairs if len(sets[i] & sets[j]) >= NEAR * len(sets[i] | sets[j])}
    assert alike
    assert set(near_duplicates(texts)) == alike
