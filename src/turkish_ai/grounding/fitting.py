"""Learn from a sector's questions which answer a text asks for.

Called by `files` and `teaching`. Knows nothing of files. SciPy is needed here alone; serving never loads it.
"""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from turkish_ai.grounding.bank import (
    BankWeights,
    QuestionBank,
    TaughtQuestion,
    count_features,
    different_answers,
)
from turkish_ai.routing.features import BOUNDARY, CONSONANTS, FeatureSpec

SPEC = FeatureSpec(ngram_min=2, ngram_max=5)
RIDGE = 1.0
RARITY_POWER = 1.5  # of the inverse document frequency; this and the next as in `routing.fitting`
EMPHASIS = 2.0
BALANCE = 0.5
FOLDS = 4
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 0.01, 10.0


def build_bank(questions: Sequence[TaughtQuestion]) -> QuestionBank:
    """The same questions in the same order give the same bank, to the bit."""
    counts = [count_features(question.text, SPEC) for question in questions]
    return QuestionBank(questions, _fit(questions, counts, temperature=_temperature(questions, counts)))


def _folds(questions: Sequence[TaughtQuestion]) -> list[tuple[list[int], list[int]]]:
    """The questions of one answer are dealt out evenly, so that most answers stay known in every fold."""
    order = list(range(len(questions)))
    random.Random(0).shuffle(order)  # noqa: S311  # reproducible by design
    order.sort(key=lambda row: questions[row].answer)  # stable: the shuffle decides within an answer
    folds: list[list[int]] = [[] for _ in range(min(FOLDS, len(questions)))]
    for place, row in enumerate(order):
        folds[place % len(folds)].append(row)
    return [([row for other in folds if other is not held for row in other], held) for held in folds]


def _fit(questions: Sequence[TaughtQuestion], counts: Sequence[Counter[str]], *, temperature: float) -> BankWeights:
    names = sorted({name for found in counts for name in found})
    vocabulary = {name: column for column, name in enumerate(names)}
    having = np.zeros(len(names))
    for found in counts:
        having[[vocabulary[name] for name in found]] += 1
    emphasis = np.array([EMPHASIS if name.startswith((BOUNDARY, CONSONANTS)) else 1.0 for name in names])
    feature_weights = (np.log((1 + len(questions)) / (1 + having)) + 1) ** RARITY_POWER * emphasis
    entries: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    for found in counts:
        columns = np.fromiter((vocabulary[name] for name in found), dtype=np.int64, count=len(found))
        values = feature_weights[columns] * (1 + np.log(np.fromiter(found.values(), dtype=float, count=len(found))))
        length = np.sqrt(values @ values)
        entries.append((columns, values / length if length else values))
    rows = np.repeat(np.arange(len(questions)), [len(columns) for columns, _ in entries])
    columns = np.concatenate([columns for columns, _ in entries])
    values = np.concatenate([values for _, values in entries])
    by_feature = np.lexsort((rows, columns))
    starts = np.searchsorted(columns[by_feature], np.arange(len(names) + 1))
    return BankWeights(
        spec=SPEC,
        vocabulary=vocabulary,
        feature_weights=feature_weights.astype(np.float32),
        starts=starts.astype(np.int64),
        rows=rows[by_feature].astype(np.int32),
        values=values[by_feature].astype(np.float32),
        dual=_dual(_kernel(rows, columns, values, (len(questions), len(names))), questions).astype(np.float32),
        temperature=temperature,
    )


def _kernel(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:  # [N, N]
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]  # ships no types; serving never needs it

    table = csr_matrix((values, (rows, columns)), shape=shape)
    return np.asarray((table @ table.T).toarray()) + 1.0


def _dual(kernel: NDArray[np.float64], questions: Sequence[TaughtQuestion]) -> NDArray[np.float64]:  # [N, A]
    from scipy.linalg import solve  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    answers = {answer: index for index, answer in enumerate(different_answers(questions))}
    labels = np.array([answers[question.answer] for question in questions])
    targets = np.where(labels[:, None] == np.arange(len(answers)), 1.0, -1.0)  # [N, A]
    weights = np.bincount(labels, minlength=len(answers))[labels] ** -BALANCE
    root = np.sqrt(weights * len(labels) / weights.sum())[:, None]  # [N, 1]
    system = root * kernel * root.T
    system[np.diag_indices_from(system)] += RIDGE
    with threadpool_limits(limits=1):  # another order of summing would change last bits
        return np.asarray(root * solve(system, root * targets, assume_a="pos"))


def _temperature(questions: Sequence[TaughtQuestion], counts: Sequence[Counter[str]]) -> float:
    """Under which the confidences of held-out questions come true: their log loss is least.

    Found by golden section search; the loss has one valley over the logarithm of the temperature.
    """
    margins: list[tuple[NDArray[np.float64], int]] = []
    for learnt, held in _folds(questions):
        part = [questions[row] for row in learnt]
        if not part:
            continue
        bank = QuestionBank(part, _fit(part, [counts[row] for row in learnt], temperature=1.0))
        answers = {answer: index for index, answer in enumerate(different_answers(part))}
        for row in held:
            label = answers.get(questions[row].answer)
            likeness = bank.likeness(questions[row].text)
            if label is not None and likeness is not None:
                margins.append((bank.scores(likeness), label))
    if not margins:
        return 1.0

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        total = 0.0
        for scores, label in margins:
            shifted = (scores - scores.max()) / temperature
            total += float(np.log(np.exp(shifted).sum()) - shifted[label])
        return total / len(margins)

    low, high = float(np.log(_MIN_TEMPERATURE)), float(np.log(_MAX_TEMPERATURE))
    ratio = (5**0.5 - 1) / 2
    while high - low > 1e-3:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))
