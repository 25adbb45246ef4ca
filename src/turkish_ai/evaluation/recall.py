"""Ask the adapters what they were taught, in words that they have not seen, and count what comes back.

Called by the command line. A sector's facts live in the answers of its train split; `data/recall/<sector>.jsonl` asks
for them in new words, and asks what nobody taught. The model either gives a taught answer nearly word for word or
mixes several into something that nobody wrote, so the words that two texts share tell which. Knows nothing of how an
answer is decoded: it is handed a function that answers.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from turkish_ai.errors import DataError, TurkishAiError
from turkish_ai.evaluation.wording import facts_said, is_turkish, repetition
from turkish_ai.sector_data import DECLINING_FAMILIES, STYLES, SectorDataset

Verdict = Literal["own", "another", "declined", "invented"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

UNTAUGHT = "unknown"
"""The family of a question that no row of the sector's data answers."""
CLOSE = 0.8
"""Share of common words, in order, from which an answer counts as the taught one. Measured on three adapters: answers
lie above 0.9 or below 0.7, with little between."""

_KEYS = frozenset({"id", "sector", "family", "style", "text"})
_OPTIONAL = frozenset({"facts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallQuestion:
    """`family` is the one of the train split whose answer is wanted, or `unknown`.

    `facts` are what a right answer has to say; each is one wording or several, divided by `|`.
    """

    id: str
    sector: str
    family: str
    style: str
    text: str
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What was answered. `finished` unless the limit of tokens cut it off."""

    text: str
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """`nearest` is the family of the taught answer that is most like this one, `similarity` how much, 0 to 1.

    `facts_said` of the question's facts are in the answer; `repetition` as in `wording`.
    """

    question: RecallQuestion
    answer: str
    verdict: Verdict
    nearest: str
    similarity: float
    finished: bool
    turkish: bool
    repetition: float
    facts_said: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorRecall:
    """Counts by verdict, of the questions that were taught in other words and of those that were not taught."""

    sector: str
    adapter_version: str
    taught: dict[Verdict, int]
    untaught: dict[Verdict, int]
    answers: tuple[JudgedAnswer, ...]

    @property
    def finished(self) -> float:
        """Share of answers that ended by themselves."""
        return _mean(answer.finished for answer in self.answers)

    @property
    def turkish(self) -> float:
        """Share of answers in Turkish."""
        return _mean(answer.turkish for answer in self.answers)

    @property
    def repetition(self) -> float:
        """Mean share of an answer's runs of four words that stood in it before."""
        return _mean(answer.repetition for answer in self.answers)

    @property
    def facts(self) -> float | None:
        """Share of the facts that right answers had to say which they said. None where no question lists any."""
        wanted = sum(len(answer.question.facts) for answer in self.answers)
        return sum(answer.facts_said for answer in self.answers) / wanted if wanted else None

    @property
    def known(self) -> float:
        """Share of taught questions that got their own answer. 0 of nothing."""
        return self.taught["own"] / max(1, sum(self.taught.values()))

    @property
    def admitted(self) -> float:
        """Share of untaught questions whose answer says that the assistant does not know. 0 of nothing."""
        return self.untaught["declined"] / max(1, sum(self.untaught.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallReport:
    base_model: str
    close: float
    sectors: tuple[SectorRecall, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values, with the sectors' shares."""
        found = asdict(self)
        for entry, sector in zip(found["sectors"], self.sectors, strict=True):
            entry |= {name: round(getattr(sector, name), 4) for name in _SHARES}
            entry |= {"facts": None if sector.facts is None else round(sector.facts, 4)}
        return found

    def to_json(self) -> str:
        return json.dumps(self.as_json(), ensure_ascii=False, indent=2) + "\n"


_SHARES = ("known", "admitted", "finished", "turkish", "repetition")

Ask = Callable[[RecallQuestion], Awaitable[Reply]]


async def evaluate_recall(
    questions: Sequence[RecallQuestion],
    *,
    datasets: Sequence[SectorDataset],
    adapter_versions: dict[str, str],
    admissions: dict[str, str],
    base_model: str,
    ask: Ask,
    at_once: int,
    answered: Callable[[], None] = lambda: None,
) -> RecallReport:
    """Ask everything, `at_once` questions at a time, and judge it. `answered` is called after each answer.

    `admissions` are, by sector, the words in which it is told to say that it does not know.

    Raises the TurkishAiError that `ask` raised first; what runs is cancelled then.
    """
    gate = asyncio.Semaphore(at_once)

    async def answer(question: RecallQuestion) -> Reply:
        async with gate:
            reply = await ask(question)
        answered()
        return reply

    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(answer(question)) for question in questions]
    except* TurkishAiError as group:
        failed = group.exceptions[0]
    if failed is not None:
        raise failed
    taught = {dataset.sector: _Taught(dataset, admission=admissions[dataset.sector]) for dataset in datasets}
    judged = [
        taught[question.sector].judge(question, task.result())
        for question, task in zip(questions, running, strict=True)
    ]
    return RecallReport(
        base_model=base_model,
        close=CLOSE,
        sectors=tuple(_of_sector(dataset.sector, adapter_versions[dataset.sector], judged) for dataset in datasets),
    )


class _Taught:
    """What a sector's train split says, to hold answers against."""

    def __init__(self, dataset: SectorDataset, *, admission: str) -> None:
        # [different answer] -> families that give it
        self._families: dict[tuple[str, ...], set[str]] = {_words(admission): {DECLINING_FAMILIES}}
        for example in dataset.split("train"):
            for message in example.messages:
                if message.role == "assistant":
                    self._families.setdefault(_words(message.content), set()).add(example.family)

    def judge(self, question: RecallQuestion, reply: Reply) -> JudgedAnswer:
        words = _words(reply.text)
        similarity, families = max(
            ((_similarity(words, taught), families) for taught, families in self._families.items()),
            key=lambda found: found[0],
        )
        nearest = question.family if question.family in families else min(families)
        verdict: Verdict
        if similarity < CLOSE:
            verdict = "invented"
        elif question.family in families:
            verdict = "own"
        elif nearest.startswith(DECLINING_FAMILIES):
            verdict = "declined"
        else:
            verdict = "another"
        return JudgedAnswer(
            question=question,
            answer=reply.text,
            verdict=verdict,
            nearest=nearest,
            similarity=round(similarity, 3),
            finished=reply.finished,
            turkish=is_turkish(reply.text),
            repetition=round(repetition(reply.text), 4),
            facts_said=facts_said(reply.text, question.facts),
        )


def _mean(values: Iterable[float]) -> float:
    """0 of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _similarity(one: Sequence[str], other: Sequence[str]) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _of_sector(sector: str, version: str, judged: Iterable[JudgedAnswer]) -> SectorRecall:
    mine = [answer for answer in judged if answer.question.sector == sector]
    taught = Counter(answer.verdict for answer in mine if answer.question.family != UNTAUGHT)
    untaught = Counter(answer.verdict for answer in mine if answer.question.family == UNTAUGHT)
    return SectorRecall(
        sector=sector,
        adapter_version=version,
        taught={verdict: taught[verdict] for verdict in VERDICTS},
        untaught={verdict: untaught[verdict] for verdict in VERDICTS},
        answers=tuple(mine),
    )


# --- the questions --------------------------------------------------------------------------------------------------


def read_recall_questions(file: Path, *, dataset: SectorDataset) -> tuple[RecallQuestion, ...]:
    """One sector's questions, checked against what is taught.

    Raises:
        DataError: the file cannot be read; a line is not a JSON object with exactly the known keys and texts, names
            another sector, an unknown style, an id that was there before, a family that is not in the train split;
            or asks word for word what the data asks. The message names file, line and reason.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}).",
            remedy=f"Write the questions of {dataset.sector} there.",
            message_tr=f"{file} okunamıyor ({error.strerror}).",
            remedy_tr=f"{dataset.sector} sektörünün sorularını oraya yazın.",
        ) from error
    families = {example.family for example in dataset.split("train")}
    known_texts = {m.content: example.id for example in dataset.examples for m in example.messages if m.role == "user"}
    ids: dict[str, int] = {}
    questions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{file}:{number}"
        question = _parse(line, place)
        if question.sector != dataset.sector:
            _refuse(place, f"sector is {question.sector!r} in the file of {dataset.sector!r}")
        if (first := ids.setdefault(question.id, number)) != number:
            _refuse(place, f"id {question.id!r} is that of line {first} too")
        if question.family != UNTAUGHT and question.family not in families:
            _refuse(place, f"family {question.family!r} is not in the train split of {dataset.sector}")
        if example_id := known_texts.get(question.text):
            _refuse(place, f"{question.text!r} is word for word the question of {example_id}")
        questions.append(question)
    if not questions:
        raise DataError(f"{file}: holds no question.")
    return tuple(questions)


def _parse(line: bytes, place: str) -> RecallQuestion:
    try:
        row = json.loads(line)
    except ValueError as error:  # broken UTF-8 is one of these too
        raise DataError(f"{place}: not one JSON object in UTF-8: {error}.") from error
    if not isinstance(row, dict) or set(row) - _OPTIONAL != _KEYS:
        _refuse(place, f"a JSON object with exactly {', '.join(sorted(_KEYS))}, and `facts` if need be, is needed")
    facts = row.pop("facts", [])
    if not isinstance(facts, list):
        _refuse(place, f"`facts` has to be a list of texts, found {facts!r}")
    for key, value in [*row.items(), *(("facts", fact) for fact in facts)]:
        if not isinstance(value, str) or not value.strip() or "\ufffd" in value:
            _refuse(place, f"`{key}` has to be a text without damaged characters, found {value!r}")
    if row["style"] not in STYLES:
        _refuse(place, f"style is {row['style']!r}; allowed are {', '.join(STYLES)}")
    return RecallQuestion(**row, facts=tuple(facts))


def _refuse(place: str, reason: str) -> NoReturn:
    raise DataError(f"{place}: {reason}.")
