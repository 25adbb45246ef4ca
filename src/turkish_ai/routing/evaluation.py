"""Measure the router on questions it has not seen: by sector, by style of typing, and as a judge of what it knows.

Called by the command line. Every figure comes through the same `SectorRouter.choose` that serves, in folds that keep
families of questions together. Writes nothing and decides nothing.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from turkish_ai.messages import GENERAL, SectorChoice
from turkish_ai.routing import fitting
from turkish_ai.routing.examples import CLASSES, RoutingExample, Split, read_examples
from turkish_ai.routing.fitting import FeatureTable
from turkish_ai.routing.router import SectorRouter
from turkish_ai.routing.training import feature_spec
from turkish_ai.settings import RoutingConfig, Settings

_BINS = 10
SURE = 0.7
"""From here on whoever shows an answer need not ask."""
_CHANGES_PER_CONVERSATION = 5
_LATENCY_CALLS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Of one set of questions. `macro_f1` is the mean over the `classes` that occur in it.

    `accuracy` and `macro_f1` are of the likeliest class, the figures with `routed` of the answer after the threshold.
    The unknown are the questions of `general`: `unknown_recall` is the share of them that no sector took,
    `unknown_precision` the share of the answers `general` that were right. `wrong_sector` is the share of all
    questions that went to a sector that is not theirs. `calibration_error` is the expected one of the answer's
    confidence, in ten bins of equal width. `sure_share` of the questions have a likeliest class at a confidence of SURE
    or more, and `sure_accuracy` of those are right. A share of nothing is None, and so are the figures of the unknown
    where there are none. By class and by style, before the threshold; `confusion` holds truth, likeliest class and how
    often, the right ones too.
    """

    questions: int
    classes: int
    accuracy: float
    macro_f1: float
    routed_accuracy: float
    routed_macro_f1: float
    unknown_recall: float | None
    unknown_precision: float | None
    wrong_sector: float
    calibration_error: float
    sure_share: float
    sure_accuracy: float | None
    f1_by_class: dict[str, float]
    accuracy_by_style: dict[str, float]
    questions_by_style: dict[str, int]
    confusion: tuple[tuple[str, str, int], ...]

    @property
    def confused(self) -> list[tuple[str, str, int]]:
        """Truth, likeliest class and how often, of those that differ; most frequent first."""
        return sorted((pair for pair in self.confusion if pair[0] != pair[1]), key=lambda pair: (-pair[2], pair))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A held-out question whose likeliest class was not its own; `confidence` is that class's."""

    id: str
    style: str
    text: str
    sector: str
    found: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUpScores:
    """Shares of right answers inside conversations.

    `turns` are later turns of our conversations, read `turns_alone` and `turns_with_history`; `changes` are questions
    of another class put after a conversation's first turn, read both ways too.
    """

    turns: int
    turns_alone: float
    turns_with_history: float
    changes: int
    changes_alone: float
    changes_with_history: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReport:
    """`held_out` is of the dev rows, by a router that learnt from the whole train split, and so is `test` of the test
    rows, None unless it was asked for; of each, `_bare` is of the bare questions alone, the others ask the sectors for
    what nobody taught; `follow_ups` are cross-validated on the train split as `cross_validated` is.
    `mistakes` are of the test rows if they were asked for, else of the dev rows."""

    data_sha256: str
    min_confidence: float
    folds: int
    temperature: float
    general_offset: float
    cross_validated: Scores
    held_out: Scores | None
    held_out_bare: Scores | None
    test: Scores | None
    test_bare: Scores | None
    follow_ups: FollowUpScores | None
    mistakes: tuple[Mistake, ...]
    latency_p50_us: float
    latency_p99_us: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answered:
    example: RoutingExample
    choice: SectorChoice

    @property
    def likeliest(self) -> str:
        """Before the threshold. An abstention's confidence is `general`'s, so `top` tells whether a sector led."""
        top = self.choice.top
        return top[0][0] if top and top[0][1] > self.choice.confidence else self.choice.sector

    @property
    def certainty(self) -> float:
        """The probability of the likeliest class."""
        return max([self.choice.confidence, *(probability for _, probability in self.choice.top[:1])])


def evaluate_router(settings: Settings, *, test: bool = False) -> RouterReport:
    """Cross-validate on the train split, then measure dev, and with `test` the test split too. Takes ten seconds or so.

    The test split is for the figures of a release: whoever looks at it while choosing between routers uses it up.

    Raises:
        DataError: see `examples.read_examples`.
    """
    config = settings.config.routing
    data = read_examples(
        routing_dir=settings.routing_data_dir, sector_dir=settings.sector_data_dir, sectors=settings.config.sectors
    )
    train = data.questions("train")
    folded, router, calibration = _routers(train, data.questions("dev"), data.terms, config)
    answered = [_answer(fold_router, example) for fold_router, held in folded for example in held]
    latencies = _latencies_us(router, before=train, measured=data.questions("dev") or train)

    def answer(split: Split) -> list[_Answered]:
        return [_answer(router, example) for example in data.questions(split)]

    held_out, tested = answer("dev"), answer("test") if test else []
    return RouterReport(
        data_sha256=data.sha256,
        min_confidence=config.min_confidence,
        folds=fitting.FOLDS,
        temperature=round(calibration.temperature, 4),
        general_offset=round(calibration.general_offset, 4),
        cross_validated=_score(answered),
        held_out=_scored(held_out),
        held_out_bare=_scored([a for a in held_out if a.example.is_bare]),
        test=_scored(tested),
        test_bare=_scored([a for a in tested if a.example.is_bare]),
        follow_ups=_score_follow_ups(folded, seed=config.seed),
        mistakes=_mistakes(tested or held_out),
        latency_p50_us=round(float(np.percentile(latencies, 50)), 1),
        latency_p99_us=round(float(np.percentile(latencies, 99)), 1),
    )


def _routers(
    train: Sequence[RoutingExample],
    dev: Sequence[RoutingExample],
    terms: Sequence[RoutingExample],
    config: RoutingConfig,
) -> tuple[list[tuple[SectorRouter, list[RoutingExample]]], SectorRouter, fitting.Calibration]:
    """A router for each fold with the examples held back from it, and the router of all examples.

    A fold's calibration is found on the other folds' held back scores, so its own examples have no part in it.
    """
    table = FeatureTable.of(train, terms=terms, held_out=dev, spec=feature_spec(config))
    labels = table.labels[table.questions]
    scores = np.zeros((len(train), len(CLASSES)))
    parts = []
    for rows, held in fitting.folds(train, seed=config.seed):
        fitted = fitting.fit(table, rows)
        scores[held] = fitted.scores(held)
        parts.append((fitted, rows, held))

    def router(fitted: fitting.Fitted, calibration: fitting.Calibration) -> SectorRouter:
        return SectorRouter(fitted.model(calibration, provenance={}), config=config)

    folded = [
        (router(fitted, fitting.calibration(scores[rows], labels[rows])), [train[row] for row in held])
        for fitted, rows, held in parts
    ]
    fitted = fitting.fit(table, table.questions)
    calibration = fitting.calibrated(table, fitted, train=train, dev=dev, seed=config.seed)
    return folded, router(fitted, calibration), calibration


def _answer(router: SectorRouter, example: RoutingExample) -> _Answered:
    return _Answered(example=example, choice=router.choose(example.text))


def _scored(answered: Sequence[_Answered]) -> Scores | None:
    """None of nothing."""
    return _score(answered) if answered else None


def _score(answered: Sequence[_Answered]) -> Scores:
    guesses = [(a.example.sector, a.likeliest) for a in answered]
    answers = [(a.example.sector, a.choice.sector) for a in answered]
    unknown = [answer for truth, answer in answers if truth == GENERAL]
    refused = [truth for truth, answer in answers if answer == GENERAL]
    sure = [a for a in answered if a.certainty >= SURE]
    return Scores(
        questions=len(answered),
        classes=len({a.example.sector for a in answered}),
        accuracy=_share(truth == guess for truth, guess in guesses),
        macro_f1=_mean(_f1(guesses).values()),
        routed_accuracy=_share(truth == answer for truth, answer in answers),
        routed_macro_f1=_mean(_f1(answers).values()),
        unknown_recall=_share(answer == GENERAL for answer in unknown) if unknown else None,
        # Without a question of `general` every such answer is wrong, whatever the router is worth.
        unknown_precision=_share(truth == GENERAL for truth in refused) if unknown and refused else None,
        wrong_sector=_share(answer not in (truth, GENERAL) for truth, answer in answers),
        calibration_error=_calibration_error(
            [a.choice.confidence for a in answered], [truth == answer for truth, answer in answers]
        ),
        sure_share=round(len(sure) / len(answered), 4),
        sure_accuracy=_share(a.likeliest == a.example.sector for a in sure) if sure else None,
        f1_by_class=_f1(guesses),
        accuracy_by_style=_accuracy_by_style(answered),
        questions_by_style=dict(sorted(Counter(a.example.style for a in answered).items())),
        confusion=tuple((*pair, count) for pair, count in sorted(Counter(guesses).items())),
    )


def _mistakes(answered: Sequence[_Answered]) -> tuple[Mistake, ...]:
    return tuple(
        Mistake(
            id=a.example.id,
            style=a.example.style,
            text=a.example.text,
            sector=a.example.sector,
            found=a.likeliest,
            confidence=round(a.certainty, 3),
        )
        for a in answered
        if a.likeliest != a.example.sector
    )


def _score_follow_ups(
    folded: Sequence[tuple[SectorRouter, list[RoutingExample]]], *, seed: int
) -> FollowUpScores | None:
    """None if the data hold no conversation of more than one turn."""
    draw = random.Random(seed)  # noqa: S311  # a sample for a measurement, no secret
    turns: list[tuple[bool, bool]] = []  # right alone, right with history
    changes: list[tuple[bool, bool]] = []
    for router, held in folded:
        for example in held:
            if not example.follow_ups:
                continue
            history = [example.text]
            for text in example.follow_ups:
                turns.append(_both_ways(router, text, history, example.sector))
                history.append(text)
            for other in draw.sample(held, min(_CHANGES_PER_CONVERSATION, len(held))):
                if other.sector != example.sector:
                    changes.append(_both_ways(router, other.text, [example.text], other.sector))
    if not turns or not changes:
        return None
    return FollowUpScores(
        turns=len(turns),
        turns_alone=_share(alone for alone, _ in turns),
        turns_with_history=_share(together for _, together in turns),
        changes=len(changes),
        changes_alone=_share(alone for alone, _ in changes),
        changes_with_history=_share(together for _, together in changes),
    )


def _both_ways(router: SectorRouter, text: str, history: Sequence[str], truth: str) -> tuple[bool, bool]:
    return router.choose(text).sector == truth, router.choose(text, history=history).sector == truth


def _f1(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Of each class among the truths; `pairs` are truth and guess."""
    truths = Counter(truth for truth, _ in pairs)
    guesses = Counter(guess for _, guess in pairs)
    hits = Counter(truth for truth, guess in pairs if truth == guess)
    return {c: round(2 * hits[c] / (truths[c] + guesses[c]), 4) for c in CLASSES if truths[c]}


def _accuracy_by_style(answered: Sequence[_Answered]) -> dict[str, float]:
    by_style: defaultdict[str, list[bool]] = defaultdict(list)
    for a in answered:
        by_style[a.example.style].append(a.likeliest == a.example.sector)
    return {style: _share(hits) for style, hits in sorted(by_style.items())}


def _calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Mean distance of confidence from the share that was right, weighted by the bins' sizes (Guo et al., 2017)."""
    confidence, hit = np.array(confidences), np.array(right, dtype=float)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(confidence[bins == b].mean() - hit[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return round(float(np.sum(gaps)), 4)


def _latencies_us(
    router: SectorRouter, *, before: Sequence[RoutingExample], measured: Sequence[RoutingExample]
) -> list[float]:
    """CPU time of single calls on questions that come for the first time, after others have."""
    for example in before[:: max(1, len(before) // _LATENCY_CALLS)]:
        router.choose(example.text)
    taken: list[float] = []
    for example in measured:
        start = time.thread_time_ns()
        router.choose(example.text)
        taken.append((time.thread_time_ns() - start) / 1000)
    return taken


def _share(hits: Iterable[bool]) -> float:
    """Of at least one."""
    found = list(hits)
    return round(sum(found) / len(found), 4)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return round(sum(found) / len(found), 4)
