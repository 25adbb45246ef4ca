"""A router that knows a text's sector because a test said so."""

from collections.abc import Sequence

from turkish_ai.messages import GENERAL, SectorChoice


class FakeRouter:
    """`sectors` maps a word to the sector of every text that holds it; other texts are `general`."""

    version = "fake"

    def __init__(self, sectors: dict[str, str] | None = None, *, error: Exception | None = None) -> None:
        self._sectors = sectors or {"kredi": "finance_banking", "dava": "legal", "randevu": "healthcare"}
        self._error = error
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def choose(self, text: str, *, history: Sequence[str] = ()) -> SectorChoice:
        self.asked.append((text, tuple(history)))
        if self._error is not None:
            raise self._error
        for word, sector in self._sectors.items():
            if word in text:
                top = ((sector, 0.8125), ("energy", 0.1))
                return SectorChoice(sector=sector, confidence=0.8125, top=top, evidence=(word,))
        return SectorChoice(sector=GENERAL, confidence=0.25, top=(("energy", 0.2), ("legal", 0.1)))
