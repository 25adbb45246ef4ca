"""Variety is counted from the data, so a file of templates shows as one."""

from turkish_ai.evaluation.variety import measure_variety
from turkish_ai.messages import Message
from turkish_ai.sector_data import Phrasing, SectorDataset, SectorExample, Split, Style


def example(number: int, question: str, *, answer: str = "Bankaya sorun.", family: str = "f") -> SectorExample:
    style: Style = "implicit" if number % 2 else "plain"
    split: Split = "dev" if number == 0 else "train"
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    return SectorExample(id=f"e{number}", family=family, style=style, split=split, messages=messages)


def dataset(*questions: str, phrasings: tuple[Phrasing, ...] = ()) -> SectorDataset:
    examples = tuple(example(number, question) for number, question in enumerate(questions))
    return SectorDataset(sector="legal", sha256="", examples=examples, phrasings=phrasings)


def test_rows_styles_and_words_are_counted() -> None:
    further = Phrasing(id="p1", answer_of="e1", style="ascii", text="bambaska bir soru daha")
    found = measure_variety(dataset("Kira ne kadar artar?", "Tapu nerede?", phrasings=(further,)))
    assert (found.rows, found.phrasings, found.families, found.answers) == (2, 1, 1, 1)
    assert found.splits == {"dev": 1, "train": 1}
    assert found.styles == {"ascii": 0.333, "implicit": 0.333, "plain": 0.333}
    assert found.question_words_p50 == 4
    assert found.answer_words_p50 == 2
    assert found.near_duplicates == 0


def test_templates_filled_with_nouns_have_few_different_runs_and_near_duplicates() -> None:
    varied = dataset(
        "Depozitomu alamıyorum, ne yapmalıyım?",
        "kiracı çıkmıyor napıcam ya",
        "Tapuda şerh görünüyor, satın alınır mı?",
        "aidat borcu devreder mi",
    )
    filled = dataset(
        *(f"Satın aldığım {noun} için ne zaman nereye başvurmam gerekir" for noun in ("ev", "arsa", "bağ"))
    )
    assert measure_variety(filled).distinct[1] < 0.6 < measure_variety(varied).distinct[1]
    assert measure_variety(filled).near_duplicates > 0.5
    assert measure_variety(varied).near_duplicates == 0
