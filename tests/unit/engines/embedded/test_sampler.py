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

from turkish_ai.engines.embedded import sampler
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


@pytest.mark.parametrize(
    "settings",
    [{"top_p": 0.5}, {"top_p": 0.97}, {"top_p": 0.9999}, {"min_p": 0.001}, {"top_p": 0.9, "min_p": 0.01}],
)
@pytest.mark.parametrize("spread", [0.0, 0.2, 1.5])
def test_a_flat_distribution_is_filtered_without_sorting_it(
    settings: dict[str, float], spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that is kept, and nothing else, as transformers keeps; on each side of the border too."""
    scores = logits(6, spread)
    warpers = LogitsProcessorList()
    if "top_p" in settings:
        warpers.append(TopPLogitsWarper(settings["top_p"]))
    if "min_p" in settings:
        warpers.append(MinPLogitsWarper(settings["min_p"]))
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), scores[None])[0].isfinite().nonzero().squeeze(1)
    kept: list[torch.Tensor] = []

    def pick(self: Sampler, probabilities: torch.Tensor, ids: torch.Tensor | None) -> int:
        assert ids is not None
        kept.append(ids)
        return 0

    monkeypatch.setattr(sampler, "_CANDIDATES", 10)
    monkeypatch.setattr(Sampler, "_pick", pick)
    Sampler(Sampling(temperature=1.0, **settings), prompt=[], index=0).choose(scores)  # type: ignore[arg-type]
    ours = kept[0].sort().values
    if spread:
        assert torch.equal(ours, expected)
    else:  # all alike: which of them are kept is nobody's promise, only how many
        assert len(ours) == pytest.approx(len(expected), abs=1)


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}, {"top_p": 0.9, "top_k": 50}])
@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-38, 1e-20, 1e-6, 1e-4])
def test_a_tiny_temperature_is_greedy_in_the_limit(settings: dict[str, float], temperature: float) -> None:
    scores = logits(3, 3.0) * 1000
    sampling = Sampling(temperature=temperature, **settings)  # type: ignore[arg-type]
    assert drawn(sampling, scores, 3) == {int(scores.argmax()): 3}


def test_large_logits_do_not_overflow() -> None:
    scores = logits(3, 3.0) * 1e37
    assert drawn(Sampling(temperature=1e-3), scores, 1) == {int(scores.argmax()): 1}


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
    chooser = Sampler(Sampling(frequency_penalty=0.3, presence_penalty=0.1), prompt=[3, 3, 3], index=0)
    # 3 costs 0.4 after the first time (0.6 > 0.5), 0.7 after the second (0.3 < 0.5).
    assert [chooser.choose(scores).token for _ in range(3)] == [3, 3, 4]


def test_a_seed_repeats_and_each_of_n_answers_has_its_own() -> None:
    scores, sampling = logits(1, 0.5), Sampling(temperature=1.0, seed=42)

    def series(index: int) -> list[int]:
        chooser = Sampler(sampling, prompt=[], index=index)
        return [chooser.choose(scores).token for _ in range(8)]

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
    chooser = Sampler(
        Sampling(temperature=0.9, top_p=0.9, repetition_penalty=1.3, frequency_penalty=1.0), prompt=[1, 2], index=0
    )
    chooser.choose(scores)
    chooser.choose(scores)
    assert torch.equal(scores, before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_found(value: float) -> None:
    scores = logits()
    scores[7] = value
    with pytest.raises(BrokenLogits):
        Sampler(Sampling(temperature=1.0), prompt=[], index=0).choose(scores)
