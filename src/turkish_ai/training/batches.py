"""Which examples share a step, and how they become tensors.

Called by `training.trainer`. Knows nothing of the model. Everything is decided by the seed before the first step, so
a run that was interrupted meets the same batches in the same order.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from turkish_ai.prompts import IGNORED_LABEL, TrainingExample

_LENGTH_JITTER_TOKENS = 8
"""Neighbours in length change from epoch to epoch by about this much, at the price of a few tokens of padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Three tensors [batch, seq]. `labels` is as in `TrainingExample`; `attention` is 0 where a row is padded."""

    tokens: Tensor
    attention: Tensor
    labels: Tensor


def plan_epoch(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the examples of each step: every example once, in batches of similar length, in random order.

    A batch holds at most `batch_tokens` tokens, padding included; an example that is longer has a batch of its own.
    """
    chance = random.Random(f"{seed}:{epoch}")  # noqa: S311  # which examples meet is no secret
    jittered = [length + chance.uniform(0, _LENGTH_JITTER_TOKENS) for length in lengths]
    batches = _fill(sorted(range(len(lengths)), key=lambda i: jittered[i]), lengths, batch_tokens=batch_tokens)
    chance.shuffle(batches)
    return batches


def plan_evaluation(lengths: Sequence[int], *, batch_tokens: int) -> list[list[int]]:
    """The same without chance: shortest first."""
    return _fill(sorted(range(len(lengths)), key=lambda i: lengths[i]), lengths, batch_tokens=batch_tokens)


def collate(examples: Sequence[TrainingExample], *, device: torch.device) -> Batch:
    """Pad on the right with token 0, whose id does not matter: nothing attends to it and it has no label."""
    shape = (len(examples), max(len(example.token_ids) for example in examples))
    tokens = torch.zeros(shape, dtype=torch.long)
    attention = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED_LABEL, dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.token_ids)
        tokens[row, :length] = torch.tensor(example.token_ids)
        attention[row, :length] = 1
        labels[row, :length] = torch.tensor(example.labels)
    return Batch(tokens=tokens.to(device), attention=attention.to(device), labels=labels.to(device))


def _fill(order: Sequence[int], lengths: Sequence[int], *, batch_tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if batches and longest * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = lengths[index]
    return batches
