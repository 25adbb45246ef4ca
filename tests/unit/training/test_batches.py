"""Which examples share a step."""

import random

import torch
from hypothesis import given
from hypothesis import strategies as st

from turkish_ai.prompts import IGNORED_LABEL, TrainingExample
from turkish_ai.training.batches import collate, plan_epoch, plan_evaluation

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=60)


@given(lengths=LENGTHS, epoch=st.integers(0, 20))
def test_every_example_has_one_place_and_a_batch_stays_within_its_tokens(lengths: list[int], epoch: int) -> None:
    for plan in (
        plan_epoch(lengths, batch_tokens=256, seed=1, epoch=epoch),
        plan_evaluation(lengths, batch_tokens=256),
    ):
        assert sorted(index for batch in plan for index in batch) == list(range(len(lengths)))
        assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 256 for b in plan)


def test_a_seed_gives_the_same_batches_again_and_epochs_differ() -> None:
    lengths = [random.Random(3).randint(20, 200) for _ in range(40)]
    first = plan_epoch(lengths, batch_tokens=512, seed=1, epoch=0)
    assert first == plan_epoch(lengths, batch_tokens=512, seed=1, epoch=0)
    assert first != plan_epoch(lengths, batch_tokens=512, seed=1, epoch=1)
    assert first != plan_epoch(lengths, batch_tokens=512, seed=2, epoch=0)


def test_batches_hold_examples_of_similar_length_so_little_is_padding() -> None:
    chance = random.Random(3)
    lengths = [chance.randint(40, 200) for _ in range(250)]
    plan = plan_epoch(lengths, batch_tokens=512, seed=1, epoch=0)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in plan)
    assert padded < 1.1 * sum(lengths)


def test_padding_is_neither_attended_to_nor_learnt() -> None:
    long = TrainingExample(token_ids=(5, 6, 7, 8), labels=(IGNORED_LABEL, IGNORED_LABEL, 7, 8))
    short = TrainingExample(token_ids=(5, 6), labels=(IGNORED_LABEL, 6))
    batch = collate([long, short], device=torch.device("cpu"))
    assert batch.tokens.tolist() == [[5, 6, 7, 8], [5, 6, 0, 0]]
    assert batch.attention.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.labels.tolist()[1] == [IGNORED_LABEL, 6, IGNORED_LABEL, IGNORED_LABEL]
