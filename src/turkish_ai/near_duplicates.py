"""Texts that are nearly the same, found exactly and without comparing every pair.

Called by `sector_data`, which lets none cross from what is learnt to what is measured, and by `evaluation`, which
counts them. Knows nothing of what the texts are for.

Two texts are as alike as their sets of four characters are (Jaccard: what both have by what either has). A pair that is
alike enough has to share one of its rarest few, so only those are looked up (the prefix filter of Chaudhuri et al.,
ICDE 2006): 12,000 questions take a few seconds.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from turkish_ai.turkish import fold

NEAR = 0.7
"""From here on a question is the other one with a word changed."""
_SIZE = 4


def shingles(text: str) -> frozenset[str]:
    """The runs of four characters in the folded text, its two ends marked by a blank; of a shorter text, itself."""
    marked = f" {fold(text)} "
    return frozenset(marked[start : start + _SIZE] for start in range(max(1, len(marked) - _SIZE + 1)))


def near_duplicates(texts: Sequence[str], *, threshold: float = NEAR) -> Iterator[tuple[int, int]]:
    """Positions of each pair that is at least so alike, the earlier text first. Texts without letters are no pair."""
    sets = [shingles(text) if fold(text) else frozenset() for text in texts]
    rarity = Counter(shingle for found in sets for shingle in found)
    having: defaultdict[str, list[int]] = defaultdict(list)
    for position, found in enumerate(sets):
        ranked = sorted(found, key=lambda shingle: (rarity[shingle], shingle))
        prefix = ranked[: len(ranked) - math.ceil(threshold * len(ranked)) + 1] if ranked else []
        for other in sorted({earlier for shingle in prefix for earlier in having[shingle]}):
            common = len(found & sets[other])
            if common >= threshold * (len(found) + len(sets[other]) - common):
                yield other, position
        for shingle in prefix:
            having[shingle].append(position)
