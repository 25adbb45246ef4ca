"""References by keyword: what a bank would find, without questions to learn from."""

from collections.abc import Mapping, Sequence

from turkish_ai.grounding import Reference


class FakeReferences:
    """Finds, for a text that holds a keyword, the answer that belongs to it. `asked` keeps every call."""

    def __init__(self, answers: Mapping[str, str] | None = None) -> None:
        self._answers = dict(answers or {})
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []

    def find(self, sector: str, text: str, *, history: Sequence[str] = ()) -> Reference | None:
        self.asked.append((sector, text, tuple(history)))
        for keyword, answer in self._answers.items():
            if keyword in text:
                return Reference(answer=answer, question=f"{keyword}?", family=keyword, confidence=0.75)
        return None
