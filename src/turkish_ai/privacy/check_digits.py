"""Numbers that belong to a person or an account, told from other numbers by their check digits.

Called by `sector_data`, which refuses them in data. Pure functions over a text: knows nothing of files or of masking.
An eleven-digit number whose check digits are wrong is an order number or an invention, and no matter.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["tckn", "vkn", "iban", "card"]
KIND_NAMES: dict[Kind, str] = {
    "tckn": "identity number (TCKN)",
    "vkn": "tax number (VKN)",
    "iban": "IBAN",
    "card": "card number",
}

_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ .\-]?[0-9]){9,18}(?![0-9A-Za-z])")
"""Ten to nineteen digits, alone or in groups: the lengths from a VKN to the longest card number."""
_IBAN = re.compile(r"(?<![0-9A-Za-z])[Tt][Rr][0-9]{2}(?:[ \-]?[0-9A-Za-z]){22}(?![0-9A-Za-z])")
_BETWEEN = str.maketrans("", "", " .-")
_MIN_CARD_DIGITS = 13
_CARD_HEADS = ("22", "23", "24", "25", "26", "27", "3", "4", "5", "6", "9792")
"""Of Mastercard's newer range, of the schemes since 1950, and of Troy. Years and programme numbers in a row, such as
`1501 1505 1507 1707`, pass Luhn's sum by chance one time in ten."""
_IBAN_HEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`text` as it stands; `start` is where, in characters."""

    kind: Kind
    text: str
    start: int


def checked_numbers(text: str) -> Iterator[Number]:
    """The identity, tax, account and card numbers in `text` whose check digits are right. Linear in its length."""
    ibans = list(_IBAN.finditer(text))
    for found in ibans:
        if is_iban(found.group().translate(_BETWEEN).upper()):
            yield Number(kind="iban", text=found.group(), start=found.start())
    for found in _RUN.finditer(text):
        if any(iban.start() <= found.start() < iban.end() for iban in ibans):
            continue
        digits = found.group().translate(_BETWEEN)
        for kind, is_valid in _BY_DIGITS:
            if is_valid(digits):
                yield Number(kind=kind, text=found.group(), start=found.start())
                break


def is_tckn(digits: str) -> bool:
    """The identity number of a citizen: 11 digits, the first not 0, with the two check digits that the law's register
    defines: d10 = 7 (d1+d3+d5+d7+d9) - (d2+d4+d6+d8) modulo 10, d11 = the sum of the first ten modulo 10."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    d = [int(digit) for digit in digits]
    tenth = (7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10
    return d[9] == tenth and d[10] == sum(d[:10]) % 10


def is_vkn(digits: str) -> bool:
    """The tax number of a firm: 10 digits, the last one checking the others by the tax office's powers of two."""
    if len(digits) != 10 or digits == "0" * 10:
        return False
    total = 0
    for place, digit in enumerate(digits[:9]):
        shifted = (int(digit) + 9 - place) % 10
        weighed = shifted * 2 ** (9 - place) % 9
        total += 9 if shifted and not weighed else weighed
    return int(digits[9]) == (10 - total % 10) % 10


def is_iban(iban: str) -> bool:
    """ISO 13616: letters as numbers, the head moved to the end, 1 modulo 97. For Turkish ones: 26 characters."""
    if len(iban) != 26 or not iban.startswith("TR") or not iban.isascii():
        return False
    return int("".join(str(int(character, 36)) for character in iban[_IBAN_HEAD:] + iban[:_IBAN_HEAD])) % 97 == 1


def is_card(digits: str) -> bool:
    """ISO/IEC 7812: 13 to 19 digits with the head of a payment scheme, Luhn's sum over them a multiple of ten."""
    if not _MIN_CARD_DIGITS <= len(digits) <= 19 or not digits.startswith(_CARD_HEADS):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_BY_DIGITS: tuple[tuple[Kind, Callable[[str], bool]], ...] = (("tckn", is_tckn), ("vkn", is_vkn), ("card", is_card))
