"""Choose the next token of one answer from its logits.

Called by `worker` for every row of a step. Each answer has its own random numbers, so what it draws depends on its
seed alone and never on its company. Filters are applied in transformers' order: penalties, temperature, top-k,
top-p, min-p. Knows nothing of text.
"""

import random
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from turkish_ai.messages import Sampling

_CANDIDATES = 1024
"""Tokens that are sorted first; the whole vocabulary (262,144) only if they do not hold the probability asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`logprob` and `top` (token, log-probability; best first) are filled if the request asked for them."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class BrokenLogits(Exception):
    """The row holds NaN: the answer cannot go on. Internal; becomes GenerationFailed for that answer."""


class Sampler:
    """One answer's way of choosing. `prompt` takes part in the repetition penalty."""

    def __init__(self, sampling: Sampling, *, prompt: list[int], index: int) -> None:
        self._sampling = sampling
        seed = sampling.seed
        self._random = random.Random(f"{seed}/{index}") if seed is not None else random.SystemRandom()  # noqa: S311  # reproducible by design when seeded
        self._written: Counter[int] = Counter()
        self._seen: dict[int, None] = dict.fromkeys(prompt) if sampling.repetition_penalty != 1.0 else {}

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the answer is simply the largest logit, so that a whole batch can be chosen at once."""
        s = self._sampling
        return (
            s.temperature == 0
            and s.top_logprobs is None
            and s.repetition_penalty == 1.0
            and s.frequency_penalty == 0
            and s.presence_penalty == 0
        )

    def choose(self, logits: Tensor) -> Choice:  # [vocabulary], float32
        """Raises BrokenLogits. Does not change `logits`."""
        s = self._sampling
        if bool(torch.isnan(logits).any()):
            raise BrokenLogits
        scores = self._penalised(logits)
        token = int(scores.argmax()) if s.temperature == 0 else self._draw(scores / s.temperature)
        self._remember(token)
        if s.top_logprobs is None:
            return Choice(token=token)
        normaliser = logits.logsumexp(0)
        top: tuple[tuple[int, float], ...] = ()
        if s.top_logprobs:
            values, ids = logits.topk(min(s.top_logprobs, logits.numel()))
            top = tuple(zip(ids.tolist(), (values - normaliser).tolist(), strict=True))
        return Choice(token=token, logprob=float(logits[token] - normaliser), top=top)

    def _remember(self, token: int) -> None:
        s = self._sampling
        if s.frequency_penalty or s.presence_penalty:
            self._written[token] += 1
        if s.repetition_penalty != 1.0:
            self._seen[token] = None

    def _penalised(self, logits: Tensor) -> Tensor:
        s = self._sampling
        scores = logits
        if self._seen:
            scores = scores.clone()
            ids = torch.tensor(list(self._seen), dtype=torch.long)
            old = scores[ids]
            scores[ids] = torch.where(old < 0, old * s.repetition_penalty, old / s.repetition_penalty)
        if self._written:
            scores = scores.clone() if scores is logits else scores
            ids = torch.tensor(list(self._written), dtype=torch.long)
            counts = torch.tensor(list(self._written.values()), dtype=scores.dtype)
            scores[ids] -= counts * s.frequency_penalty + s.presence_penalty
        return scores

    def _draw(self, scores: Tensor) -> int:
        s = self._sampling
        size = scores.numel()
        if not s.top_k and s.top_p >= 1 and not s.min_p:
            return self._pick(scores.double().softmax(0), None)
        sorted_first = min(s.top_k or _CANDIDATES, size)
        values, ids = scores.topk(sorted_first)
        normaliser = values.logsumexp(0) if s.top_k else scores.logsumexp(0)
        probabilities = (values - normaliser).double().exp()
        if not s.top_k and sorted_first < size and not self._holds_enough(probabilities):
            values, ids = scores.sort(descending=True)
            probabilities = (values - normaliser).double().exp()
        keep = torch.ones_like(probabilities, dtype=torch.bool)
        if s.top_p < 1:
            keep &= probabilities.cumsum(0) - probabilities < s.top_p  # what came before is not yet enough
        if s.min_p:
            keep &= probabilities >= s.min_p * probabilities[0]
        keep[0] = True
        return self._pick(probabilities[keep], ids[keep])

    def _holds_enough(self, probabilities: Tensor) -> bool:
        """Whether everything that the filters can keep is among the sorted candidates."""
        s = self._sampling
        by_top_p = s.top_p < 1 and float(probabilities.sum()) >= s.top_p
        by_min_p = s.min_p > 0 and float(probabilities[-1]) < s.min_p * float(probabilities[0])
        return by_top_p or by_min_p

    def _pick(self, probabilities: Tensor, ids: Tensor | None) -> int:
        """Inverse transform sampling: one uniform number, so the draw is the answer's own."""
        cumulative = probabilities.cumsum(0)
        place = torch.searchsorted(cumulative, self._random.random() * float(cumulative[-1]), right=True)
        place_index = min(int(place), probabilities.numel() - 1)
        return place_index if ids is None else int(ids[place_index])
