"""Choosing a token: against transformers' own filters, and against plain arithmetic."""

import math
from collections import Counter

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from turkish_ai.engines.embedded.sampler import BrokenLogits, Sampler
from turkish_ai.messages import Sampling

VOCABULARY = 3000


def logits(seed: int = 0, spread: float = 2.0) -> torch.Tensor:
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def drawn(sampling: Sampling, scores: torch.Tensor, times: int, prompt: list[int] | None = None) -> Counter[int]:
    found: Counter[int] = Counter()
    for index in range(times):
        found[Sampler(sampling, prompt=prompt or [], index=index).choose(scores).token] += 1
    return found


def test_greedy_takes_the_largest() -> None:
    scores = logits()
    assert drawn(Sampling(), scores, 1) == {int(scores.argmax()): 1}


@pytest.mark.parametrize(
    "settings",
    [
        {"top_k": 5},
        {"top_p": 0.3},
        {"top_p": 0.97, "spread": 0.2},  # needs the whole vocabulary sorted
        {"min_p": 0.2},
        {"top_k": 50, "top_p": 0.8, "min_p": 0.05, "temperature": 0.7},
        {"temperature": 1.6, "top_k": 20},
    ],
)
def test_what_can_be_drawn_is_what_transformers_leaves(settings: dict[str, float]) -> None:
    settings = {"temperature": 1.0, **settings}
    scores = logits(3, settings.pop("spread", 2.0))
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(settings["temperature"]))])
    if "top_k" in settings:
        warpers.append(TopKLogitsWarper(int(settings["top_k"])))
    if "top_p" in settings:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    if "min_p" in settings:
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), scores[None])[0].softmax(0)
    times = 3000
    found = drawn(Sampling(seed=1, **settings), scores, times)  # type: ignore[arg-type]
    assert all(expected[token] > 0 for token in found), "drew a token that the filters exclude"
    for token in expected.topk(3).indices.tolist():
        p = float(expected[token])
        assert abs(found[token] / times - p) < 5 * math.sqrt(p * (1 - p) / times) + 1e-9


def test_without_filters_the_draw_follows_softmax() -> None:
    scores = logits(5, 3.0)
    p = scores.softmax(0)
    found = drawn(Sampling(temperature=1.0, seed=9), scores, 4000)
    for token in p.topk(4).indices.tolist():
        assert abs(found[token] / 4000 - float(p[token])) < 5 * math.sqrt(float(p[token]) / 4000)


def test_the_repetition_penalty_is_transformers() -> None:
    scores, prompt = logits(2), [1, 5, int(logits(2).argmax())]
    processed = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([prompt]), scores[None].clone())[0]
    assert drawn(Sampling(repetition_penalty=1.7), scores, 1, prompt) == {int(processed.argmax()): 1}


def test_frequency_and_presence_penalties_grow_with_what_was_written() -> None:
    scores = torch.zeros(10)
    scores[3], scores[4] = 1.0, 0.5
    sampler = Sampler(Sampling(frequency_penalty=0.3, presence_penalty=0.1), prompt=[3, 3, 3], index=0)
    # 3 costs 0.4 after the first time (0.6 > 0.5), 0.7 after the second (0.3 < 0.5).
    assert [sampler.choose(scores).token for _ in range(3)] == [3, 3, 4]


def test_a_seed_repeats_and_each_of_n_answers_has_its_own() -> None:
    scores, sampling = logits(1, 0.5), Sampling(temperature=1.0, seed=42)

    def series(index: int) -> list[int]:
        sampler = Sampler(sampling, prompt=[], index=index)
        return [sampler.choose(scores).token for _ in range(8)]

    assert series(0) == series(0)
    assert series(0) != series(1)


def test_logprobs_are_those_of_the_model_whatever_the_temperature() -> None:
    scores = logits(8)
    choice = Sampler(Sampling(temperature=2.0, seed=1, top_logprobs=4, top_k=1), prompt=[], index=0).choose(scores)
    expected = scores.log_softmax(0)
    assert choice.logprob == pytest.approx(float(expected[choice.token]), abs=1e-5)
    assert [token for token, _ in choice.top] == expected.topk(4).indices.tolist()


def test_logits_are_left_as_they_were() -> None:
    scores = logits(4)
    before = scores.clone()
    sampler = Sampler(
        Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.3, frequency_penalty=1.0), prompt=[1, 2], index=0
    )
    sampler.choose(scores)
    sampler.choose(scores)
    assert torch.equal(scores, before)


def test_nan_is_found() -> None:
    scores = logits()
    scores[7] = math.nan
    with pytest.raises(BrokenLogits):
        Sampler(Sampling(temperature=1.0), prompt=[], index=0).choose(scores)
