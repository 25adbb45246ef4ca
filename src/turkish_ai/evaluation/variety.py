"""How varied a sector's questions are: measured, so that a file of templates shows as one.

Called by the command line. Counts what stands in the data; knows nothing of models.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from turkish_ai.near_duplicates import near_duplicates
from turkish_ai.sector_data import DECLINING_FAMILIES, SectorDataset
from turkish_ai.turkish import fold


@dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """Of one sector's questions and answers. Further phrasings are counted, and are among the questions.

    `families` have `answers` different answers between them; `untaught` rows say that the assistant does not know.
    `styles` are shares of the rows and further phrasings. `distinct` is, for runs of one, two and three words, how many
    are different of how many there are. `near_duplicates` is the share of the questions that are nearly another one of
    the sector.
    """

    sector: str
    rows: int
    phrasings: int
    families: int
    answers: int
    conversations: int
    untaught: int
    splits: dict[str, int]
    styles: dict[str, float]
    question_words_p10: int
    question_words_p50: int
    question_words_p90: int
    answer_words_p50: int
    answer_words_p95: int
    distinct: tuple[float, float, float]
    near_duplicates: float


def measure_variety(dataset: SectorDataset) -> Variety:
    examples = dataset.examples
    questions = [message.content for example in examples for message in example.messages if message.role == "user"]
    questions += [phrasing.text for phrasing in dataset.phrasings]
    answers = list(dict.fromkeys(example.messages[-1].content for example in examples))
    words = [fold(question).split() for question in questions]
    asked = [len(found) for found in words]
    said = [len(answer.split()) for answer in answers]
    openings = [next(m.content for m in example.messages if m.role == "user") for example in examples]
    openings += [phrasing.text for phrasing in dataset.phrasings]
    repeated = {later for _, later in near_duplicates(openings)}
    styles = Counter([*(example.style for example in examples), *(phrasing.style for phrasing in dataset.phrasings)])
    return Variety(
        sector=dataset.sector,
        rows=len(examples),
        phrasings=len(dataset.phrasings),
        families=len({example.family for example in examples}),
        answers=len(answers),
        conversations=sum(len(example.messages) > 2 for example in examples),
        untaught=sum(example.family.startswith(DECLINING_FAMILIES) for example in examples),
        splits=dict(sorted(Counter(example.split for example in examples).items())),
        styles={style: round(count / styles.total(), 3) for style, count in sorted(styles.items())},
        question_words_p10=_percentile(asked, 10),
        question_words_p50=_percentile(asked, 50),
        question_words_p90=_percentile(asked, 90),
        answer_words_p50=_percentile(said, 50),
        answer_words_p95=_percentile(said, 95),
        distinct=(_distinct(words, 1), _distinct(words, 2), _distinct(words, 3)),
        near_duplicates=round(len(repeated) / len(openings), 4),
    )


def _percentile(values: Sequence[int], percent: int) -> int:
    return int(np.percentile(values, percent))


def _distinct(texts: Iterable[Sequence[str]], size: int) -> float:
    runs = [tuple(words[start : start + size]) for words in texts for start in range(len(words) - size + 1)]
    return round(len(set(runs)) / len(runs), 3) if runs else 0.0
