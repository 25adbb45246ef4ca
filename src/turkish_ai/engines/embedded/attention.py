"""Attention over a packed batch: every row reads and writes its own KV memory.

Registered with transformers under `NAME` and called by the model's own attention modules, so any architecture that
uses transformers' attention interface takes this path. A row is computed by itself: its result cannot depend on what
else is in the batch. Knows nothing of adapters or sampling.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

from turkish_ai.engines.embedded.kv import SequenceKv
from turkish_ai.errors import UnsupportedModel

NAME = "turkish_ai_packed"
STEP_ARGUMENT = "turkish_ai_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillSpan:
    """Tokens `start` to `end` of the packed batch are one prompt's positions from `kv.length` on."""

    start: int
    end: int
    kv: SequenceKv


@dataclass(slots=True, kw_only=True)
class AttentionStep:
    """What the attention of one step needs: decode rows first (one token each), then the spans of prompts.

    Tokens behind the last span are padding; nothing reads their output.
    """

    decode: list[SequenceKv]
    prefill: list[PrefillSpan]
    masks: dict[tuple[int, int, int | None], Tensor | None] = field(default_factory=dict)

    def mask(self, first: int, tokens: int, window: int | None) -> Tensor | None:
        """[tokens, first + tokens], True where a position may look; the same for all layers of a step."""
        key = (first, tokens, window)
        if key not in self.masks:
            rows = torch.arange(first, first + tokens).unsqueeze(1)
            columns = torch.arange(first + tokens).unsqueeze(0)
            allowed = columns <= rows
            if window is not None:
                allowed &= columns > rows - window
            self.masks[key] = None if bool(allowed.all()) else allowed
        return self.masks[key]


def packed_attention(
    module: nn.Module,
    query: Tensor,  # [1, heads, tokens, dim]
    key: Tensor,  # [1, kv_heads, tokens, dim]
    value: Tensor,  # [1, kv_heads, tokens, dim]
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """What transformers' attention modules call. Returns [1, tokens, heads, dim]."""
    for unsupported in ("softcap", "s_aux", "position_bias"):
        if rest.get(unsupported) is not None:
            raise UnsupportedModel(
                f"The base model's attention uses {unsupported}, which the embedded engine does not compute.",
                remedy="Choose another base model, or another engine.",
            )
    step: AttentionStep = rest[STEP_ARGUMENT]
    layer: int = module.layer_idx  # type: ignore[assignment]  # every attention module of transformers has it
    heads, tokens = query.shape[1], query.shape[2]
    kv_heads = key.shape[1]
    out = query.new_zeros((1, tokens, heads, value.shape[-1]))
    for row, kv in enumerate(step.decode):
        at = kv.length
        keys, values = kv.keys[layer], kv.values[layer]
        keys[:, at] = key[0, :, row]
        values[:, at] = value[0, :, row]
        first = max(0, at + 1 - sliding_window) if sliding_window else 0
        # The query heads that share a key head become that head's rows: [kv_heads, group, dim].
        grouped = query[0, :, row].view(1, kv_heads, heads // kv_heads, -1)
        attended = functional.scaled_dot_product_attention(
            grouped, keys[None, :, first : at + 1], values[None, :, first : at + 1], scale=scaling
        )
        out[0, row] = attended.reshape(heads, -1)
    for span in step.prefill:
        kv, first, count = span.kv, span.kv.length, span.end - span.start
        keys, values = kv.keys[layer], kv.values[layer]
        keys[:, first : first + count] = key[0, :, span.start : span.end]
        values[:, first : first + count] = value[0, :, span.start : span.end]
        attended = functional.scaled_dot_product_attention(
            query[:, :, span.start : span.end],
            keys[None, :, : first + count],
            values[None, :, : first + count],
            attn_mask=step.mask(first, count, sliding_window),
            scale=scaling,
            enable_gqa=kv_heads != heads,
        )
        out[0, span.start : span.end] = attended[0].transpose(0, 1)
    return out, None


def register() -> None:
    """Make `NAME` known to transformers. No mask is registered with it, so transformers builds none."""
    AttentionInterface.register(NAME, packed_attention)
