"""The sectors' names in the person's language, and the sector that a person means.

Used by the commands that name sectors. Knows nothing of adapters or of how a text is routed.
"""

from collections.abc import Iterable

from turkish_ai.cli.language import Speaker
from turkish_ai.settings import ModelConfig
from turkish_ai.turkish import fold


def sector_name(sector: str, *, config: ModelConfig, say: Speaker) -> str:
    found = config.sector(sector)
    if found is None:
        return sector
    return found.name_tr if say.language == "tr" else found.name_en


def sector_meant(typed: str, names: Iterable[tuple[str, str]]) -> str | None:
    """The id among (id, name) pairs that `typed` is or names, however it is spelled; None if there is none or two."""
    wanted = fold(typed)
    found = {sector for sector, name in names if wanted and wanted in (fold(sector), fold(name))}
    if not found:
        found = {sector for sector, name in names if wanted and fold(name).startswith(wanted)}
    return found.pop() if len(found) == 1 else None
