"""Find the taught answer that a question asks for.

Built by `files` from what `fitting` learnt; asked by `assistant` before a turn and by `training` for its examples.
Plain numpy: it knows nothing of scikit-learn, of adapters, or of how an answer is written.

The features are the router's (character n-grams inside words, words, consonants), the classes are a sector's different
answers, and the classifier is the router's too: regularised least squares in its kernel form. Here it stays in that
form, because a sector has fewer questions than an answer has features: a megabyte instead of ten.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from turkish_ai.messages import Message
from turkish_ai.routing.features import FeatureSpec, features_by_word
from turkish_ai.turkish import fold

_OPENING = "Bilgi: "
_MAX_CHARS = 2000
"""A question is read up to here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtQuestion:
    """`family` is the data's name for what is asked."""

    text: str
    family: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A taught answer, and how sure the bank is that it is the one asked for, 0 to 1.

    `question` is the taught question with this answer that is most like the one asked.
    """

    answer: str
    question: str
    family: str
    confidence: float


def as_message(answer: str) -> Message:
    """How a conversation begins that is answered with a taught `answer` at hand; the same in training and serving."""
    return Message(role="system", content=f"{_OPENING}{answer}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankWeights:
    """What was learnt from N questions with F features and A different answers.

    The features of all questions lie one feature after the other: feature f is in the questions
    `rows[starts[f]:starts[f + 1]]`, with `values` at the same places.
    """

    spec: FeatureSpec
    vocabulary: dict[str, int]
    feature_weights: NDArray[np.float32]  # [F]
    starts: NDArray[np.int64]  # [F + 1]
    rows: NDArray[np.int32]  # [entries]
    values: NDArray[np.float32]  # [entries]; every question has length 1
    dual: NDArray[np.float32]  # [N, A]
    temperature: float


class QuestionBank:
    """A sector's N questions with their A different answers. Immutable, so any number of threads may share it."""

    def __init__(self, questions: Sequence[TaughtQuestion], weights: BankWeights) -> None:
        self.questions = tuple(questions)
        self.weights = weights
        position = {answer: index for index, answer in enumerate(different_answers(questions))}
        self._labels = np.array([position[question.answer] for question in questions], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.questions)

    def find(self, text: str, *, history: Sequence[str] = ()) -> Reference | None:
        """The likeliest answer; None for a text that shares nothing with any taught question.

        `history` holds what the same person wrote before, oldest first. A turn that leans on it ("peki ne kadar
        sürer?") is read alone and with the turn before, and the surer reading counts.
        """
        readings = [text] if not history else [text, f"{history[-1]} {text}"]
        found = [reference for reading in readings if (reference := self._find(reading)) is not None]
        return max(found, key=lambda reference: reference.confidence, default=None)

    def _find(self, text: str) -> Reference | None:
        likeness = self.likeness(text)
        if likeness is None:
            return None
        scores = self.scores(likeness)
        raised = np.exp((scores - scores.max()) / self.weights.temperature)
        best = int(scores.argmax())
        taught = np.flatnonzero(self._labels == best)
        nearest = self.questions[int(taught[likeness[taught].argmax()])]
        return Reference(
            answer=nearest.answer,
            question=nearest.text,
            family=nearest.family,
            confidence=float(raised[best] / raised.sum()),
        )

    def scores(self, likeness: NDArray[np.float64]) -> NDArray[np.float64]:  # [N] -> [A]
        """Of the different answers, before the temperature."""
        return np.asarray((likeness + 1.0) @ self.weights.dual)  # the 1 is the bias's feature

    def likeness(self, text: str) -> NDArray[np.float64] | None:
        """[N]: the cosine between the text and each question; None where there is nothing to compare."""
        weights = self.weights
        counts = count_features(text[:_MAX_CHARS], weights.spec)
        known = [(weights.vocabulary[name], count) for name, count in counts.items() if name in weights.vocabulary]
        if not known:
            return None
        columns = np.array([column for column, _ in known], dtype=np.int64)
        values = weights.feature_weights[columns] * (1 + np.log(np.array([count for _, count in known])))
        values = values / np.sqrt(values @ values)
        likeness = np.zeros(len(self.questions))
        for column, value in zip(columns.tolist(), values.tolist(), strict=True):
            places = slice(weights.starts[column], weights.starts[column + 1])
            likeness[weights.rows[places]] += weights.values[places] * value
        return likeness


class QuestionBanks:
    """The sectors' banks, each loaded when it is first asked, with the confidence from which their answers are used.

    `load` gives a sector's bank, or None for one without data; it may take seconds. Safe to call from any thread.
    """

    def __init__(self, load: Callable[[str], QuestionBank | None], *, min_confidence: float) -> None:
        self._load = load
        self._min_confidence = min_confidence
        self._banks: dict[str, QuestionBank | None] = {}
        self._lock = threading.Lock()

    def prepare(self, sector: str) -> None:
        """Load now, so that the first question does not wait. Raises whatever `load` raises."""
        with self._lock:
            if sector not in self._banks:
                self._banks[sector] = self._load(sector)

    def find(self, sector: str, text: str, *, history: Sequence[str] = ()) -> Reference | None:
        """None: the sector has no bank, or nothing in it is likely enough to be what is asked."""
        self.prepare(sector)
        bank = self._banks[sector]
        found = bank.find(text, history=history) if bank is not None else None
        return found if found is not None and found.confidence >= self._min_confidence else None


def different_answers(questions: Sequence[TaughtQuestion]) -> tuple[str, ...]:
    """In the order in which they first stand."""
    return tuple(dict.fromkeys(question.answer for question in questions))


def count_features(text: str, spec: FeatureSpec) -> Counter[str]:
    return Counter(chain.from_iterable(features for _, features in features_by_word(fold(text), spec)))
