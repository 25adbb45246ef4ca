"""How far the model's answers are off, without the logits that nobody needs.

Called by `training.trainer`. Takes any causal language model of transformers that is an inner model and a frozen
linear head; `check_equals_transformers` finds the others before any training. Knows nothing of PEFT or of epochs.

The head of a small model with a large vocabulary costs as much as all its layers together (640 x 262,144 against
18 layers), and transformers computes it for questions and padding too and keeps its logits for the way back. Here it
sees the answers' tokens alone, a few at a time, and leaves only the gradient of their hidden states: the head is
frozen, so nothing else of it is needed (as Liger's fused linear cross-entropy, arXiv 2410.10989). While training, the
softmax runs over the tokens that the answers use and a fresh sample of the others, which stands for all of them
(sampled softmax, Jean et al. 2015, arXiv 1412.2007); dev loss is always computed over the whole vocabulary.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from turkish_ai.errors import UnsupportedModel
from turkish_ai.prompts import IGNORED_LABEL
from turkish_ai.training.batches import Batch

_CHUNK_TOKENS = 64
"""Rows of logits that exist at a time: 64 x 262,144 in float32 are 67 MB."""
_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""Largest relative difference to transformers' own loss; measured: below 1e-6 and 2e-3."""


class Candidates:
    """The tokens that a training step's softmax runs over: all in `answers`, and `sampled` of the others by chance.

    Where there are no more others than that, it runs over all of them and the loss is exact.
    """

    def __init__(
        self, answers: Iterable[int], *, vocabulary: int, sampled: int, seed: int, device: torch.device
    ) -> None:
        used = torch.tensor(sorted(set(answers)), dtype=torch.long)
        is_other = torch.ones(vocabulary, dtype=torch.bool)
        is_other[used] = False
        self._used = used
        self._others = is_other.nonzero().squeeze(1)
        self._sampled = min(sampled, len(self._others))
        self._seed = seed
        self._device = device
        place = torch.full((vocabulary,), -1, dtype=torch.long)
        place[used] = torch.arange(len(used))
        self.place = place.to(device)  # [vocabulary], where a token of the answers stands among the candidates

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Candidates of a step, and what is added to their logits so that the sample weighs as much as all others."""
        offsets = torch.zeros(len(self._used) + self._sampled)
        chosen = self._others
        if self._sampled < len(self._others):
            chance = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
            chosen = self._others[torch.randint(len(self._others), (self._sampled,), generator=chance)]
            offsets[len(self._used) :] = math.log(len(self._others) / self._sampled)
        return torch.cat([self._used, chosen]).to(self._device), offsets.to(self._device)


def count_labels(batch: Batch) -> int:
    """Tokens that the loss is over: a label on the first token has nothing that predicts it."""
    return int((batch.labels[:, 1:] != IGNORED_LABEL).sum())


def opening_weights(labels: Tensor, *, opening_tokens: int, weight: float) -> Tensor:
    """[batch, seq]: `weight` for the first tokens of each answer, 1 for the others.

    The first words decide which answer is given; what follows is easily known by heart. Measured on an adapter whose
    loss was 0.19 a token: its first token stood at 2.17 and every later one below 0.8, and one question in five got
    its own answer.
    """
    inside = (labels != IGNORED_LABEL).long()
    starts = inside.clone()
    starts[:, 1:] &= 1 - inside[:, :-1]  # 1 at the first token of each answer
    place = torch.zeros_like(inside)  # 1 for an answer's first token, 2 for its second, ...
    for offset in range(min(opening_tokens, starts.shape[1])):
        shifted = torch.zeros_like(starts)
        shifted[:, offset:] = starts[:, : starts.shape[1] - offset]
        place += shifted
    return torch.where((place > 0) & (inside > 0), weight, 1.0)


def answer_loss(
    model: Any, batch: Batch, *, candidates: Candidates | None = None, step: int = 0, weights: Tensor | None = None
) -> Tensor:
    """Sum of the negative log-likelihoods (natural logarithm) of the batch's labels. `model` is the causal model.

    Over the whole vocabulary, or an estimate of it over the `candidates` of `step`. `weights` [batch, seq] changes how
    much each label counts in the gradient, not in the sum.

    Raises:
        UnsupportedModel: the head is no plain frozen linear layer, so that more than `hidden` would need a gradient.
    """
    hidden = model.model(
        input_ids=batch.tokens, attention_mask=batch.attention, use_cache=False
    ).last_hidden_state  # [batch, seq, hidden]
    targets = batch.labels[:, 1:]  # the token at place i is predicted at place i - 1
    wanted = targets != IGNORED_LABEL
    head = model.lm_head
    if type(head) is not nn.Linear or head.bias is not None or head.weight.requires_grad:
        raise UnsupportedModel(
            f"The output head of {type(model).__name__} has a bias, an adapter or weights that are trained.",
            remedy="Take lm_head out of lora.target_modules, or use another base model.",
        )
    cap = getattr(model.config, "final_logit_softcapping", None)
    rows, labels, offsets = head.weight, targets[wanted], None
    if candidates is not None:
        chosen, offsets = candidates.at(step)
        rows, labels = rows[chosen], candidates.place[labels]
    counts = weights[:, 1:][wanted] if weights is not None else None
    loss: Tensor = _HeadLoss.apply(hidden[:, :-1][wanted], rows, labels, cap, offsets, counts)
    return loss


class _HeadLoss(torch.autograd.Function):
    """Cross-entropy behind a frozen linear head; the gradient is computed on the way, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        cap: float | None,
        offsets: Tensor | None,
        counts: Tensor | None,
    ) -> Tensor:
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None  # [labels, hidden]
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, hidden.shape[0], _CHUNK_TOKENS):
            part = slice(start, start + _CHUNK_TOKENS)
            logits = (hidden[part] @ head.T).float()  # [chunk, vocabulary]
            if cap is not None:
                logits = torch.tanh(logits / cap) * cap
            slope = 1 - (logits / cap).square() if cap is not None and gradient is not None else None
            if offsets is not None:
                logits = logits + offsets
            normaliser = logits.logsumexp(1, keepdim=True)
            chosen = targets[part].unsqueeze(1)
            total += (normaliser - logits.gather(1, chosen)).double().sum().cpu()
            if gradient is None:
                continue
            errors = logits.sub_(normaliser).exp_()  # softmax minus one at the target
            errors.scatter_add_(1, chosen, torch.full_like(chosen, -1, dtype=errors.dtype))
            if slope is not None:
                errors *= slope
            if counts is not None:
                errors *= counts[part].unsqueeze(1)
            gradient[part] = errors.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].to(gradient.dtype), None, None, None, None, None


@torch.no_grad()
def check_equals_transformers(model: Any, batch: Batch) -> None:
    """Compare with the loss that transformers computes itself.

    Raises:
        UnsupportedModel: they differ, because the model scales or changes its logits in a way unknown here.
    """
    expected = float(
        model(input_ids=batch.tokens, attention_mask=batch.attention, labels=batch.labels, use_cache=False).loss
    )
    try:
        found = float(answer_loss(model, batch)) / count_labels(batch)
    except AttributeError as error:
        raise UnsupportedModel(
            f"{type(model).__name__} is not an inner model with a head ({error}), so it cannot be trained here.",
            remedy="Use a decoder-only text model as the base.",
        ) from error
    if abs(found - expected) > _TOLERANCE[model.dtype] * max(1.0, abs(expected)):
        raise UnsupportedModel(
            f"{type(model).__name__} computes its loss in an unknown way: {expected:.6f}, found {found:.6f}.",
            remedy="Use a base model whose logits come straight from its head.",
        )
