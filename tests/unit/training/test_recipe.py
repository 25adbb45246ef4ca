"""The learning rate over a run."""

from itertools import pairwise

import pytest

from turkish_ai.training.recipe import learning_rate_ratio


def test_the_learning_rate_rises_to_its_full_height_and_ends_at_a_tenth() -> None:
    ratios = [learning_rate_ratio(step, steps=100, warmup_ratio=0.1) for step in range(100)]
    assert ratios[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert max(ratios) == pytest.approx(1.0)
    assert all(later <= earlier for earlier, later in pairwise(ratios[10:]))
    assert ratios[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_a_few_steps_has_a_learning_rate_too(steps: int) -> None:
    ratios = [learning_rate_ratio(step, steps=steps, warmup_ratio=0.05) for step in range(steps)]
    assert all(0.1 <= ratio <= 1.0 for ratio in ratios)
