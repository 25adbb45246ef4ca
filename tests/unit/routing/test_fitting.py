import numpy as np
import pytest

from turkish_ai.routing.examples import RoutingExample
from turkish_ai.routing.fitting import FOLDS, best_temperature, folds, softmax


def example(number: int, *, sector: str, family: str) -> RoutingExample:
    return RoutingExample(
        id=str(number), sector=sector, style="plain", text=f"soru {number}", family=family, split="train"
    )


def test_the_temperature_makes_probabilities_of_scores_that_are_too_sure() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(5000, 4))
    labels = np.array([generator.choice(4, p=row) for row in softmax(truth, temperature=1.0)])
    assert best_temperature(3 * truth, labels) == pytest.approx(3, rel=0.1)


def test_softmax_stands_large_scores() -> None:
    np.testing.assert_allclose(softmax(np.array([1e4, 0.0]), temperature=0.1), [1, 0])


def test_a_family_is_never_on_both_sides_of_a_fold() -> None:
    examples = [
        example(number, sector=("legal", "energy")[number % 2], family=f"{number % 2}/{number // 6}")
        for number in range(60)
    ]
    seen: list[int] = []
    for rows, held in folds(examples, seed=1):
        learnt = {examples[row].family for row in rows}
        assert not learnt & {examples[row].family for row in held}
        seen += held.tolist()
    assert sorted(seen) == list(range(60))


def test_there_are_as_many_folds_as_promised_and_the_seed_decides_them() -> None:
    examples = [example(number, sector="legal", family=str(number)) for number in range(20)]
    first, again, other = ([held.tolist() for _, held in folds(examples, seed=seed)] for seed in (1, 1, 2))
    assert len(first) == FOLDS
    assert first == again != other
