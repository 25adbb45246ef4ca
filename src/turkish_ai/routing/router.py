"""Choose the sector of a Turkish text, or `general` when no sector is likely enough.

Built by `app` from a model that `training.ensure_router` made; called by `assistant` and `/classify`. Plain numpy: it
knows nothing of scikit-learn, of files, or of which sectors have an adapter.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from turkish_ai.messages import GENERAL, SectorChoice
from turkish_ai.routing.features import features_by_word
from turkish_ai.routing.history import TURNS, follow
from turkish_ai.routing.model import RouterModel
from turkish_ai.settings import RoutingConfig
from turkish_ai.turkish import fold

EVIDENCE_WORDS = 5
_REMEMBERED_WORDS = 20_000  # about 10 MB
_NOTHING_TO_READ = SectorChoice(sector=GENERAL, confidence=1.0)
"""For a text without a letter: it certainly names no sector."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Reading:
    """One text as the model sees it, with F different features that the model knows."""

    folded: str
    words: list[tuple[str, int]]  # each word with how many known features it has, repeated ones counted again
    columns: NDArray[np.int64]  # [F], in the model
    places: NDArray[np.int64]  # [all features of all words], where each stands in `columns`
    values: NDArray[np.float32]  # [F], of length 1
    probabilities: NDArray[np.float64]  # [classes], of this text by itself


class SectorRouter:
    """One trained model with the thresholds it is used with. Immutable, so any number of threads may share it."""

    def __init__(self, model: RouterModel, *, config: RoutingConfig) -> None:
        self._model = model
        self._config = config
        self._average = model.weights.mean(axis=1)  # [features]
        self._general = model.classes.index(GENERAL)
        # Words come back: taking one apart costs ten times what remembering it does.
        self._columns_of = lru_cache(maxsize=_REMEMBERED_WORDS)(self._look_up)

    @property
    def version(self) -> str:
        """Names the weights: the head of the model file's sha256."""
        return self._model.sha256[:12]

    def choose(self, text: str, *, history: Sequence[str] = ()) -> SectorChoice:
        """The sector of `text`. `history` is what the same person wrote before in this conversation, oldest first.

        `confidence` is always the probability that the answer `sector` is right. If the likeliest class is a sector
        at min_confidence or above, it is that sector's. Otherwise the answer is `general`, and `confidence` is
        `general`'s own probability: high for small talk, and low when the router abstains between sectors. `top`
        keeps the sectors with their probabilities either way; `general` is never in it.

        A text of blanks, punctuation and emoji is `general` with confidence 1 and no `top`, and so is one of digits
        that opens a conversation; later, bare digits stay in its sector.

        `evidence` holds the words, folded, that speak most for the answer; when the turn itself does not speak for
        it, those of the earlier turn that does. An abstention has none. Of a text longer than max_chars, the head and
        the tail are read, half each.
        """
        now = self._read(text)
        if now is None:
            return _NOTHING_TO_READ
        earlier = [reading for turn in history[-TURNS:] if (reading := self._read(turn)) is not None]
        if not earlier and not now.folded.strip("0 "):
            return _NOTHING_TO_READ
        belief = self._believe([*earlier, now])
        best = int(belief.argmax())
        if best != self._general and belief[best] < self._config.min_confidence:
            return SectorChoice(sector=GENERAL, confidence=float(belief[self._general]), top=self._top(belief))
        speaker = next((turn for turn in (now, *reversed(earlier)) if turn.probabilities.argmax() == best), now)
        return SectorChoice(
            sector=self._model.classes[best],
            confidence=float(belief[best]),
            top=self._top(belief),
            evidence=self._evidence(speaker, best),
        )

    def probabilities(self, text: str) -> dict[str, float]:
        """Of every class, for the text alone and without any threshold. Empty for a text without letters and digits."""
        reading = self._read(text)
        if reading is None:
            return {}
        return dict(zip(self._model.classes, reading.probabilities.tolist(), strict=True))

    def _believe(self, turns: Sequence[_Reading]) -> NDArray[np.float64]:
        belief = turns[0].probabilities
        for turn in turns[1:]:
            belief = follow(belief, turn.probabilities, folded=turn.folded, general=self._general)
        return belief

    def _read(self, text: str) -> _Reading | None:
        folded = fold(self._cut(text))
        if not folded:
            return None
        words = folded.split()
        found = [self._columns_of(word) for word in words]
        columns, places, counts = np.unique(np.concatenate(found), return_inverse=True, return_counts=True)
        values = self._model.feature_weights[columns] * (1 + np.log(counts.astype(np.float32)))
        length = float(np.sqrt(values @ values))
        if length > 0:
            values /= length
        return _Reading(
            folded=folded,
            words=[(word, len(known)) for word, known in zip(words, found, strict=True)],
            columns=columns,
            places=places,
            values=values,
            probabilities=self._softmax(values @ self._model.weights[columns] + self._model.bias),
        )

    def _look_up(self, word: str) -> NDArray[np.int64]:
        """The columns of a folded word's features, as often as each occurs; without those that the model lacks."""
        known = self._model.vocabulary
        features = chain.from_iterable(features for _, features in features_by_word(word, self._model.spec))
        return np.array([known[feature] for feature in features if feature in known], dtype=np.int64)

    def _cut(self, text: str) -> str:
        """The question of a long text mostly stands at its begin or its end."""
        limit = self._config.max_chars
        if len(text) <= limit:
            return text
        head = (limit - 1) // 2
        return f"{text[:head]} {text[len(text) - (limit - 1 - head) :]}"

    def _softmax(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        scaled = scores.astype(np.float64) / self._model.temperature
        raised = np.exp(scaled - scaled.max())
        return np.asarray(raised / raised.sum())

    def _top(self, belief: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
        ranked = [int(index) for index in np.argsort(-belief, kind="stable") if index != self._general]
        return tuple((self._model.classes[index], float(belief[index])) for index in ranked[: self._config.top])

    def _evidence(self, reading: _Reading, chosen: int) -> tuple[str, ...]:
        """Words whose features raise the chosen class above the average class, strongest first."""
        columns = reading.columns
        lifts = reading.values * (self._model.weights[columns, chosen] - self._average[columns])  # [F]
        of_all = lifts[reading.places]
        by_word: defaultdict[str, float] = defaultdict(float)
        start = 0
        for word, size in reading.words:
            by_word[word] += float(of_all[start : start + size].sum())
            start += size
        strongest = sorted(by_word, key=by_word.__getitem__, reverse=True)[:EVIDENCE_WORDS]
        return tuple(word for word in strongest if by_word[word] > 0)
