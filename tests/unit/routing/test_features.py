import pytest

from turkish_ai.routing.features import FeatureSpec, features_by_word

SPEC = FeatureSpec(ngram_min=2, ngram_max=3)


def features(text: str) -> dict[str, list[str]]:
    return dict(features_by_word(text, SPEC))


def test_a_word_gives_its_ngrams_itself_and_its_consonants() -> None:
    assert features("kart") == {
        "kart": ["_k", "ka", "ar", "rt", "t_", "_ka", "kar", "art", "rt_", "_kart_", "=kr", "=krt", "=krt_"]
    }


def test_a_word_without_its_vowels_shares_the_consonants_of_the_whole_one() -> None:
    shared = set(features("borcm")["borcm"]) & set(features("borcum")["borcum"])
    assert {"=br", "=brc", "=brcm", "=brcm_"} <= shared


def test_digits_are_no_consonants() -> None:
    assert not [feature for feature in features("0000")["0000"] if feature.startswith("=")]


def test_a_short_word_stands_once() -> None:
    assert features("o")["o"] == ["_o", "o_", "_o_"]


def test_an_empty_text_has_no_features() -> None:
    assert features("") == {}


@pytest.mark.parametrize(("low", "high"), [(0, 3), (4, 3)])
def test_lengths_that_make_no_sense_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="ngram_min"):
        FeatureSpec(ngram_min=low, ngram_max=high)
