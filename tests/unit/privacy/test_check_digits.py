"""Which numbers are a person's or an account's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turkish_ai.privacy.check_digits import checked_numbers, is_card, is_iban, is_tckn, is_vkn

TCKN = "10000000146"  # the example that the check digits are explained with everywhere; nobody's
IBAN = "TR330006100519786457841326"  # the IBAN registry's example
CARD = "4111111111111111"  # a card scheme's test number


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Kimlik numaram {TCKN}, ne yapmalıyım?", "tckn"),
        ("Kimlik: 100 000 001 46.", "tckn"),
        (f"Hesap {IBAN}", "iban"),
        ("TR33 0006 1005 1978 6457 8413 26'ya gönderdim", "iban"),
        (f"kart {CARD}", "card"),
        ("4111-1111-1111-1111", "card"),
    ],
)
def test_a_number_with_right_check_digits_is_found_as_it_stands(text: str, kind: str) -> None:
    (found,) = checked_numbers(text)
    assert found.kind == kind
    assert text[found.start : found.start + len(found.text)] == found.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10000000147 numaralı sipariş",
        "01000000014",
        "TR330006100519786457841327",
        "4111111111111112",
        "0000000000000000",
        "1501 1505 1507 1707 arasındaki fark",
        "2024, 2025 ve 2026",
        "0850 numaralar",
        f"x{TCKN}",
        f"{TCKN}0",
    ],
)
def test_other_numbers_are_no_matter(text: str) -> None:
    assert list(checked_numbers(text)) == []


def test_several_numbers_are_found_in_one_text() -> None:
    assert sorted(n.kind for n in checked_numbers(f"{TCKN} {CARD}; {IBAN}")) == ["card", "iban", "tckn"]


@given(st.integers(min_value=10**8, max_value=10**9 - 1))
def test_each_nine_digits_have_one_ending_that_is_an_identity_number(head: int) -> None:
    assert sum(is_tckn(f"{head}{ending:02}") for ending in range(100)) == 1


@given(st.integers(min_value=1, max_value=10**9 - 1))
def test_each_nine_digits_have_one_ending_that_is_a_tax_number(head: int) -> None:
    assert sum(is_vkn(f"{head:09}{ending}") for ending in range(10)) == 1


@given(st.integers(min_value=0, max_value=10**22 - 1), st.integers(min_value=0, max_value=21))
def test_one_wrong_digit_is_no_iban(account: int, place: int) -> None:
    numeric = f"{account:022}"
    check = 98 - int(f"{numeric}2927" + "00") % 97  # T is 29, R is 27
    assert is_iban(f"TR{check:02}{numeric}")
    wrong = numeric[:place] + str((int(numeric[place]) + 1) % 10) + numeric[place + 1 :]
    assert not is_iban(f"TR{check:02}{wrong}")


@given(st.integers(min_value=3 * 10**14, max_value=7 * 10**14 - 1))
def test_each_fifteen_digits_of_a_scheme_have_one_ending_that_is_a_card(head: int) -> None:
    assert sum(is_card(f"{head}{ending}") for ending in range(10)) == 1


def test_a_text_of_digits_alone_is_read_in_linear_time() -> None:
    assert list(checked_numbers("1" * 200_000)) == []
