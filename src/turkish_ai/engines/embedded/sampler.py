"""Choose the next token of one answer from its logits.

Called by `worker` for every row of a step. Each answer has its own random numbers, so what it draws depends on its
seed alone and never on its company. Filters are applied in transformers' order: penalties, temperature, top-k,
top-p, min-p. Knows nothing of text.
"""

import math
import random
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from turkish_ai.messages import Sampling

_CANDIDATES = 1024
"""Tokens that are sorted first; the whole vocabulary (262,144) is looked at only if they do not hold the probability
asked for."""
_BINS = 4096
_BINNED_NATS = 24.0
"""Bins of the whole vocabulary's log-probabilities below the largest; what is further down shares the last bin."""
_GREEDY_BELOW = 1e-5
"""Below this temperature the likeliest token is drawn but for logits that differ by less than 1e-4, the model's own
rounding; transformers' and vLLM's bounds are of the same size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`logprob` and `top` (token, log-probability; best first) are filled if the request asked for them."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class BrokenLogits(Exception):
    """The row holds NaN or infinity: the answer cannot go on. Internal; becomes GenerationFailed for that answer."""


class Sampler:
    """One answer's way of choosing. `prompt` takes part in the repetition penalty."""

    def __init__(self, sampling: Sampling, *, prompt: list[int], index: int) -> None:
        self._sampling = sampling
        seed = sampling.seed
        self._random = random.Random(f"{seed}/{index}") if seed is not None else random.SystemRandom()  # noqa: S311  # reproducible by design when seeded
        self._written: Counter[int] = Counter()
        self._seen: dict[int, None] = dict.fromkeys(prompt) if sampling.repetition_penalty != 1.0 else {}

    @property
    def _is_greedy(self) -> bool:
        return self._sampling.temperature < _GREEDY_BELOW

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the answer is simply the largest logit, so that a whole batch can be chosen at once."""
        s = self._sampling
        return (
            self._is_greedy
            and s.top_logprobs is None
            and s.repetition_penalty == 1.0
            and s.frequency_penalty == 0
            and s.presence_penalty == 0
        )

    def choose(self, logits: Tensor) -> Choice:  # [vocabulary], float32
        """Raises BrokenLogits. Does not change `logits`."""
        s = self._sampling
        scores = self._penalised(logits)
        best = scores.max()  # NaN if any score is
        if not math.isfinite(best):
            raise BrokenLogits
        # Differences first: a large logit divided by a small temperature would be infinite.
        token = int(scores.argmax()) if self._is_greedy else self._draw((scores - best).div_(s.temperature))
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

    def _draw(self, scores: Tensor) -> int:  # [vocabulary], the largest is 0
        s = self._sampling
        size = scores.numel()
        if not s.top_k and s.top_p >= 1 and not s.min_p:
            return self._pick(scores.exp().double(), None)
        sorted_first = min(s.top_k or _CANDIDATES, size)
        values, ids = scores.topk(sorted_first)
        normaliser = values.logsumexp(0) if s.top_k else scores.logsumexp(0)
        probabilities = (values - normaliser).double().exp()
        if not s.top_k and sorted_first < size and not self._holds_enough(probabilities):
            return self._draw_from_all(scores, (scores - normaliser).exp().double())
        keep = torch.ones_like(probabilities, dtype=torch.bool)
        if s.top_p < 1:
            keep &= probabilities.cumsum(0) - probabilities < s.top_p  # what came before is not yet enough
        if s.min_p:
            keep &= probabilities >= s.min_p * probabilities[0]
        keep[0] = True
        return self._pick(probabilities[keep], ids[keep])

    def _draw_from_all(self, scores: Tensor, probabilities: Tensor) -> int:
        """For flat distributions: the filters without sorting the vocabulary, which takes 19 ms and this 3 ms.

        Tokens are put into bins by their score, so only the bin in which `top_p` is reached has to be sorted.
        """
        s = self._sampling
        keep = torch.ones_like(probabilities, dtype=torch.bool)
        if s.top_p < 1:
            bins = (scores * (-_BINS / _BINNED_NATS)).clamp_(max=_BINS - 1).long()
            up_to = torch.bincount(bins, weights=probabilities, minlength=_BINS).cumsum(0)
            last = min(int(torch.searchsorted(up_to, s.top_p)), _BINS - 1)
            keep = bins < last
            inside = (bins == last).nonzero().squeeze(1)
            held, order = probabilities[inside].sort(descending=True, stable=True)
            before = (up_to[last - 1] if last else 0.0) + held.cumsum(0) - held
            keep[inside[order[before < s.top_p]]] = True
        if s.min_p:
            keep &= probabilities >= s.min_p * probabilities.max()
        ids = keep.nonzero().squeeze(1)
        return self._pick(probabilities[ids], ids)

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
