"""What the router looks at in a folded text: character n-grams inside words, whole words, and words' consonants.

Called by `fitting` and `router`, so that both see the same features. Knows nothing of weights or sectors. A change
here makes earlier router files meaningless: raise `model.FORMAT` with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BOUNDARY = "_"
"""Marks a word's begin and end. A folded text holds none, so `_kart_` can only be the word and `kart` only a part."""

CONSONANTS = "="
"""Opens a feature of a word's consonants, which survive haste: `borcm` and `borcum` are both `=brcm_`."""

_CONSONANT_PREFIXES = (2, 3, 4)
_NO_CONSONANTS = str.maketrans("", "", "aeiou0")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Lengths of n-grams in characters, boundaries counted."""

    ngram_min: int
    ngram_max: int

    def __post_init__(self) -> None:
        if not 1 <= self.ngram_min <= self.ngram_max:
            raise ValueError(f"ngram_min is {self.ngram_min} and ngram_max {self.ngram_max}; needed: 1 <= min <= max")


def features_by_word(folded: str, spec: FeatureSpec) -> Iterator[tuple[str, list[str]]]:
    """Each word with its features, in reading order; a feature stands as often as it occurs.

    A word too short for the longest n-gram is not repeated as a word: its n-gram with both boundaries is the word.
    """
    for word in folded.split():
        marked = f"{BOUNDARY}{word}{BOUNDARY}"
        length = len(marked)
        found = [
            marked[start : start + size]
            for size in range(spec.ngram_min, min(spec.ngram_max, length) + 1)
            for start in range(length - size + 1)
        ]
        if length > spec.ngram_max:
            found.append(marked)
        consonants = word.translate(_NO_CONSONANTS)
        found += [CONSONANTS + consonants[:size] for size in _CONSONANT_PREFIXES if size <= len(consonants)]
        if consonants:
            found.append(f"{CONSONANTS}{consonants}{BOUNDARY}")
        yield word, found
