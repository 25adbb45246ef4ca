import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turkish_ai.turkish import fold, lower_tr

TURKISH_LETTERS = "abcçdefgğhıijklmnoöprsştuüvyzâîû"
turkish_text = st.text(alphabet=TURKISH_LETTERS + " ,.?!'-0123456789", max_size=80)
any_text = st.text(max_size=80)

UPPER = str.maketrans({"i": "İ", "ı": "I"})
ASCII = str.maketrans("çğıöşüâîû", "cgiosuaiu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IĞDIR", "ığdır"),
        ("İZMİR", "izmir"),
        ("I\u0307STANBUL", "istanbul"),
        ("i\u0307stanbul", "istanbul"),
        ("KÂĞIT ÇÖŞÜ", "kâğıt çöşü"),
    ],
)
def test_lower_case_follows_turkish_rules(text: str, expected: str) -> None:
    assert lower_tr(text) == expected


@given(any_text)
def test_lower_casing_twice_changes_nothing(text: str) -> None:
    assert lower_tr(lower_tr(text)) == lower_tr(text)


@given(any_text)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(turkish_text)
def test_upper_case_typing_folds_to_the_same(text: str) -> None:
    assert fold(text.translate(UPPER).upper()) == fold(text)


@given(turkish_text)
def test_ascii_typing_folds_to_the_same(text: str) -> None:
    assert fold(text.translate(ASCII)) == fold(text)


@given(turkish_text)
def test_decomposed_unicode_folds_to_the_same(text: str) -> None:
    upper = text.translate(UPPER).upper()
    assert fold(unicodedata.normalize("NFD", upper)) == fold(text)


@given(any_text)
def test_a_folded_text_has_only_letters_zeros_and_single_spaces(text: str) -> None:
    folded = fold(text)
    assert all(character.isalpha() or character in "0 " for character in folded)
    assert "  " not in folded
    assert folded == folded.strip()


def test_every_character_of_the_scripts_with_case_folds_to_something_stable() -> None:
    points = [*range(0x3400), *range(0xA000, 0xAC00), *range(0xF900, 0x12000), *range(0x1D400, 0x1FC00)]
    unstable = [hex(point) for point in points if fold(fold(chr(point))) != fold(chr(point))]
    assert not unstable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KREDİ KARTI BORCU", "kredi karti borcu"),
        ("İSTANBUL'DA", "istanbulda"),
        ("İstanbul’da", "istanbulda"),
        ("e-Devlet, CI/CD", "e devlet ci cd"),
        ("çoook pahalııı", "cok pahali"),
        ("saat  \t\n kaç", "saat kac"),
        ("5G'ye 1.500 TL", "0gye 0 000 tl"),
        ("👍🏽 tamam 🤷‍♀️", "tamam"),
        ("yap\u00adma\u200bz", "yapmaz"),
        ("𝗸𝗮𝗿𝘁", "kart"),
        ("Привет", "привет"),
    ],
)
def test_typings_are_made_equal(text: str, expected: str) -> None:
    assert fold(text) == expected


@pytest.mark.parametrize("text", ["", "   ", "😀😂", "...", "?!", "❤️"])
def test_a_text_without_letters_and_digits_folds_to_nothing(text: str) -> None:
    assert fold(text) == ""


@pytest.mark.parametrize("piece", ["a\u0323\u0301", "a\u0307\u0323", "\u0301", "ab", "İ", "😀", "'"])
def test_folding_takes_time_in_proportion_to_the_length(piece: str) -> None:
    """Runs of combining marks make Unicode normalisation quadratic; folding must not be."""

    def seconds(times: int) -> float:
        text = "a" + piece * times
        taken = []
        for _ in range(5):
            start = time.thread_time()
            fold(text)
            taken.append(time.thread_time() - start)
        return min(taken)

    assert seconds(32_000) < 40 * max(seconds(2_000), 1e-5)  # 16 if linear, 256 if quadratic
