"""The sector that a person means, however it is typed."""

import pytest

from turkish_ai.cli.sectors import sector_meant

NAMES = [
    ("ecommerce", "E-ticaret"),
    ("healthcare", "Sağlık"),
    ("energy", "Enerji"),
    ("energy_distribution", "Enerji Üretimi, Dağıtımı ve İletimi"),
    ("insurance", "Sigortacılık"),
]


@pytest.mark.parametrize(
    ("typed", "sector"),
    [
        ("ecommerce", "ecommerce"),
        ("E-TİCARET", "ecommerce"),
        ("sağlık", "healthcare"),
        ("SAGLIK", "healthcare"),
        ("enerji", "energy"),
        ("enerji üretimi", "energy_distribution"),
        ("sigorta", "insurance"),
        ("e", None),
        ("", None),
        ("yemek", None),
    ],
)
def test_a_sector_is_found_by_id_name_or_the_begin_of_its_name(typed: str, sector: str | None) -> None:
    assert sector_meant(typed, NAMES) == sector
