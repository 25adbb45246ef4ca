"""Fit the router's linear model to examples, and find the temperature that makes its scores probabilities.

Called by `training` for the router itself and by `evaluation` for its folds. Knows nothing of files. scikit-learn is
imported inside, since serving never needs it.

The classifier is regularised least squares, one target a class (+1 or -1). In five folds over the first 18 classes'
questions it got macro-F1 0.55 and log loss 1.32, multinomial logistic regression 0.53 and 1.36 and one against the rest
0.53 and 1.35, each at its best strength; a multinomial fit took eight times as long. With 14,000 questions conjugate
gradients take 5 s; the exact solution in kernel form took 61 s and 3 GB, and differed by 0.0005 in the scores.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turkish_ai.messages import GENERAL
from turkish_ai.routing.examples import CLASSES, RoutingExample
from turkish_ai.routing.features import BOUNDARY, CONSONANTS, FeatureSpec, features_by_word
from turkish_ai.routing.model import RouterModel
from turkish_ai.turkish import fold

FOLDS = 5
RIDGE = 1.0
RARITY_POWER = 1.5  # of the inverse document frequency
EMPHASIS = 2.0
"""Of features at a word's begin and of its consonants: a Turkish word means what its stem says, and ends in suffixes
that all sectors share; the consonants are what is left of a word typed in haste."""
BALANCE = 0.5
"""A row weighs (its class's rows) ** -BALANCE: between all questions alike (0) and all sectors alike (1).
With ten times the rows in three sectors, macro-F1 in five folds was 0.533 at 0.25, 0.548 at 0.5 and 0.544 at 0.75."""
_TOLERANCE = 1e-4
_MAX_ITERATIONS = 500
_TEMPERATURES = np.geomspace(0.01, 10.0, 400)
_OFFSETS = np.linspace(0.0, 0.5, 26)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureTable:
    """The features of N examples: questions to learn from, terms that are always learnt, and questions held out.

    `counts` holds 1 + ln(occurrences). `questions`, `terms` and `held_out` are the rows of each.
    """

    spec: FeatureSpec
    names: tuple[str, ...]
    counts: Any  # sparse [N, features]
    emphasis: NDArray[np.float64]  # [features]
    labels: NDArray[np.int64]  # [N], positions in CLASSES
    questions: NDArray[np.int64]
    terms: NDArray[np.int64]
    held_out: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        questions: Sequence[RoutingExample],
        *,
        terms: Sequence[RoutingExample],
        held_out: Sequence[RoutingExample] = (),
        spec: FeatureSpec,
    ) -> "FeatureTable":
        from sklearn.feature_extraction import DictVectorizer

        examples = [*questions, *terms, *held_out]
        vectorizer = DictVectorizer(dtype=np.float64, sort=True)
        counts = vectorizer.fit_transform([_damped_counts(example.text, spec) for example in examples])
        names = tuple(vectorizer.feature_names_)
        rows = np.split(np.arange(len(examples)), [len(questions), len(questions) + len(terms)])
        return cls(
            spec=spec,
            names=names,
            counts=counts,
            emphasis=np.array([EMPHASIS if name.startswith((BOUNDARY, CONSONANTS)) else 1.0 for name in names]),
            labels=labels_of(examples),
            questions=rows[0],
            terms=rows[1],
            held_out=rows[2],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What makes a fit's scores probabilities: `general_offset` is added to `general`'s score, `temperature` divides.

    A class of a hundred subjects is learnt less well than one of a single subject, and always in the same direction.
    """

    temperature: float
    general_offset: float

    def scores(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:  # [rows, classes]
        """Before the temperature."""
        moved = scores.copy()
        moved[:, CLASSES.index(GENERAL)] += self.general_offset
        return moved


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A linear model over the columns of one table; a feature that its rows did not have weighs nothing."""

    table: FeatureTable
    feature_weights: NDArray[np.float64]  # [features]
    weights: NDArray[np.float64]  # [features, classes]
    bias: NDArray[np.float64]  # [classes]

    def scores(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of these rows of the table: [rows, classes]."""
        return np.asarray(_weighted(self.table, rows, self.feature_weights) @ self.weights + self.bias)

    def model(self, calibration: Calibration, *, provenance: Mapping[str, Any]) -> RouterModel:
        known = np.flatnonzero(self.feature_weights)
        (bias,) = calibration.scores(self.bias[None])
        return RouterModel(
            classes=CLASSES,
            spec=self.table.spec,
            vocabulary={self.table.names[column]: index for index, column in enumerate(known)},
            feature_weights=self.feature_weights[known].astype(np.float32),
            weights=self.weights[known].astype(np.float32),
            bias=bias.astype(np.float32),
            temperature=calibration.temperature,
            provenance=provenance,
        )


def fit(table: FeatureTable, questions: NDArray[np.int64]) -> Fitted:
    """Learn from these questions and the terms alone, down to which features there are and how rare each is."""
    from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]  # ships no types
    from sklearn.linear_model import Ridge

    rows = np.concatenate([questions, table.terms])
    labels = table.labels[rows]
    having = table.counts[rows].getnnz(axis=0)  # [features]
    rarity = (np.log((1 + len(rows)) / (1 + having)) + 1) ** RARITY_POWER
    feature_weights = np.where(having > 0, rarity * table.emphasis, 0.0)
    values = _weighted(table, rows, feature_weights)  # [rows, features]
    with_bias = hstack([values, csr_matrix(np.ones((len(rows), 1)))]).tocsr()
    targets = np.where(labels[:, None] == np.arange(len(CLASSES)), 1.0, -1.0)  # [rows, classes]
    # Conjugate gradients on sparse rows run on one thread in a fixed order: the same data give the same bytes.
    ridge = Ridge(alpha=RIDGE, fit_intercept=False, solver="sparse_cg", tol=_TOLERANCE, max_iter=_MAX_ITERATIONS)
    ridge.fit(with_bias, targets, sample_weight=_row_weights(labels))
    return Fitted(table=table, feature_weights=feature_weights, weights=ridge.coef_[:, :-1].T, bias=ridge.coef_[:, -1])


def folds(examples: Sequence[RoutingExample], *, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to learn from and rows to hold back, FOLDS times; sectors evenly spread, a family never torn apart."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels = labels_of(examples)
    families = [example.family for example in examples]
    yield from StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels, families)


def cross_validated(table: FeatureTable, questions: Sequence[RoutingExample], *, seed: int) -> NDArray[np.float64]:
    """Scores of the table's questions, each by a fit that has not seen its family: [questions, classes]."""
    scores = np.zeros((len(questions), len(CLASSES)))
    for rows, held in folds(questions, seed=seed):
        scores[held] = fit(table, rows).scores(held)
    return scores


def calibrated(
    table: FeatureTable,
    fitted: Fitted,
    *,
    train: Sequence[RoutingExample],
    dev: Sequence[RoutingExample],
    seed: int,
) -> Calibration:
    """For a router that learnt from all of `train`, the table's questions; `dev` are those that it holds out.

    From the bare questions in `dev`: they are of every class and of another hand than what was learnt. Without any,
    from cross-validation.
    """
    bare = table.held_out[[example.is_bare for example in dev]] if dev else table.held_out
    if len(bare):
        return calibration(fitted.scores(bare), table.labels[bare])
    return calibration(cross_validated(table, train, seed=seed), table.labels[table.questions])


def calibration(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Calibration:
    """That of the least log loss. Where the labels hold no question of `general`, its score stays as it is."""
    offsets = _OFFSETS if (labels == CLASSES.index(GENERAL)).any() else np.zeros(1)
    found = []
    for offset in offsets:
        moved = Calibration(temperature=1.0, general_offset=float(offset)).scores(scores)
        temperature = best_temperature(moved, labels)
        found.append((log_loss(moved, labels, temperature=temperature), float(offset), temperature))
    _, offset, temperature = min(found)
    return Calibration(temperature=temperature, general_offset=offset)


def best_temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The divisor of `scores` [rows, classes] under which softmax gives the labels the least log loss."""
    losses = [log_loss(scores, labels, temperature=float(t)) for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def log_loss(scores: NDArray[np.float64], labels: NDArray[np.int64], *, temperature: float) -> float:
    """Mean over the rows, in nats."""
    scaled = (scores - scores.max(axis=1, keepdims=True)) / temperature
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]).mean())


def softmax(scores: NDArray[np.float64], *, temperature: float) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    scaled = scores / temperature
    raised = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def labels_of(examples: Sequence[RoutingExample]) -> NDArray[np.int64]:
    return np.array([CLASSES.index(example.sector) for example in examples], dtype=np.int64)


def _damped_counts(text: str, spec: FeatureSpec) -> dict[str, float]:
    found = Counter(feature for _, features in features_by_word(fold(text), spec) for feature in features)
    return {feature: 1 + float(np.log(count)) for feature, count in found.items()}


def _weighted(table: FeatureTable, rows: NDArray[np.int64], feature_weights: NDArray[np.float64]) -> Any:
    from sklearn.preprocessing import normalize

    return normalize(table.counts[rows].multiply(feature_weights).tocsr())


def _row_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    rows = np.bincount(labels, minlength=len(CLASSES))
    weights = rows[labels] ** -BALANCE
    return np.asarray(weights * len(labels) / weights.sum())
