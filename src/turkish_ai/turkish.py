"""Turkish letters: the one place that knows their upper and lower case, and the folding that makes typings equal.

`lower_tr` is for every room that lower-cases text; `fold` is what the router and the question banks read. Knows
nothing of sectors, models or files.
"""

import re
import unicodedata

_DOTS = re.compile("i\u0307+")
_STRETCHED = re.compile(r"([^\W\d_])\1{2,}")
_APOSTROPHES = frozenset("'’‘‛`´ʼʹ′＇")
_DIGIT = "0"


def lower_tr(text: str) -> str:
    """Lower case by Turkish rules: I becomes ı, and İ becomes i, be its dot part of the letter or a mark of its own.

    `str.lower` turns İ into an i with a second dot on it; such leftovers of other software become a plain i too.
    """
    turkish = text.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı")
    return _DOTS.sub("i", turkish.lower())


def fold(text: str) -> str:
    """One spelling for all typings of a text: only letters, the digit 0 and single spaces are left.

    Case, Turkish marks and composed or decomposed Unicode make no difference (`KREDİ KARTI`, `kredi kartı` and
    `kredi karti` are equal). Each digit becomes 0: its number stays visible, its value (an account, a person) does
    not. An apostrophe joins (`Ankara'da` is `ankarada`, as it is typed in haste); other punctuation and emoji
    separate. A letter that stands three times or more stands once (`çoook`). Letters of other alphabets stay.

    Linear in the length of `text`, for any input: each character is folded by itself, so no run of combining marks
    has to be sorted. Folding twice changes nothing.
    """
    spaced = " ".join(text.translate(_FOLDED).split())
    return _STRETCHED.sub(r"\1", spaced)


class _FoldTable(dict[int, str]):
    """Code point to its folded form. What is not in the table is computed each time, so that it cannot grow."""

    def __missing__(self, code_point: int) -> str:
        return _fold_character(chr(code_point))


def _fold_character(character: str) -> str:
    if character in _APOSTROPHES:  # before they decompose: ´ is a blank with a mark
        return ""
    plain = lower_tr(unicodedata.normalize("NFKD", character)).replace("ı", "i")
    # Lower-casing can uncover a further decomposition (U+03D3 does), so both run once more.
    plain = unicodedata.normalize("NFKD", plain).lower()
    return "".join(_classify(part) for part in plain)


def _classify(character: str) -> str:
    if character in _APOSTROPHES:
        return ""
    category = unicodedata.category(character)
    if category[0] == "L":
        return character
    if category in ("Nd", "No", "Nl"):
        return _DIGIT
    if category[0] == "M" or category == "Cf":  # marks and invisible joiners stand inside words
        return ""
    return " "


_FOLDED = _FoldTable({point: _fold_character(chr(point)) for point in range(0x250)})
