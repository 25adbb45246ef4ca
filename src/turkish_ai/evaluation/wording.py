"""What can be told of an answer from its words alone: is it Turkish, does it repeat itself, does it say what it must.

Called by `recall`. Pure functions over texts; knows nothing of models or of questions.
"""

from collections.abc import Sequence

from turkish_ai.turkish import fold, lower_tr

_REPEATED_WORDS = 4

_COMMON = frozenset(
    fold(
        """
        ve veya ya da de bir bu şu o için ile gibi kadar göre olan olarak olur olup değil var yok daha çok en ise ama
        sonra önce her hem ne nasıl nerede hangi siz size sizin biz ben bana evet hayır konuda bilgim güvenilir lütfen
        """
    ).split()
)
_ENDINGS = tuple(
    fold(
        """
        lar ler ları leri ların lerin lara lere dan den tan ten nın nin nun nün dır dir dur dür tır tir tur tür ınız
        iniz unuz ünüz sınız siniz yor yorum mak mek ması mesi arak erek ılır ilir ulur ülür abilir ebilir malı meli
        maz mez acak ecek mış miş muş müş dığı diği duğu düğü sı si ını ini unu ünü ına ine una üne
        """
    ).split()
)
_TURKISH_LETTERS = frozenset("çğış")
_TURKISH_SHARE = 0.5
_AS_LETTERS = str.maketrans("0123456789", "αβγδεζηθικ")


def is_turkish(text: str) -> bool:
    """Whether at least half of the words are common Turkish words, carry a Turkish ending or a letter that few other
    languages have. A text without words is not."""
    words = [word for word in lower_tr(text).split() if fold(word).strip("0 ")]
    return bool(words) and sum(map(_looks_turkish, words)) >= _TURKISH_SHARE * len(words)


def _looks_turkish(word: str) -> bool:
    folded = fold(word)
    return (
        folded in _COMMON
        or not _TURKISH_LETTERS.isdisjoint(word)
        or any(folded.endswith(ending) and len(folded) > len(ending) + 1 for ending in _ENDINGS)
    )


def repetition(text: str) -> float:
    """Share of the runs of four words that stood before in the same text, 0 to 1."""
    words = fold(text).split()
    runs = [tuple(words[start : start + _REPEATED_WORDS]) for start in range(len(words) - _REPEATED_WORDS + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def facts_said(text: str, facts: Sequence[str]) -> int:
    """How many of `facts` the text says; of a fact in several wordings, divided by `|`, one is enough."""
    said = _with_digits(text)
    return sum(any(_with_digits(wording) in said for wording in fact.split("|")) for fact in facts)


def _with_digits(text: str) -> str:
    """Folded, but for the digits, whose value is the fact."""
    return fold(text.translate(_AS_LETTERS))
