"""The base model, ready for packed batches: loaded, packed, and compared with itself before it answers anyone.

Built by `engine`, driven by `worker`. Takes any decoder that transformers loads and that uses its attention
interface; whatever it cannot compute is found here, at load, by comparing packed logits with the model's own forward
pass. Knows nothing of requests.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from turkish_ai.engines.embedded import attention as packed
from turkish_ai.engines.embedded.attention import AttentionStep, PrefillSpan
from turkish_ai.engines.embedded.kv import KvShape, LayerKvShape, SequenceKv
from turkish_ai.engines.embedded.linear import MIN_ROWS, PackedLinear, SmallTableEmbedding, can_pack
from turkish_ai.engines.embedded.lora import LoraLinear, LoraStep, LoraTables
from turkish_ai.errors import BaseModelUnavailable, UnsupportedModel

log = structlog.get_logger(__name__)

_CHECK_TOLERANCE = 2e-3
"""Largest relative difference of a logit between the packed pass and the model's own; measured: below 1e-5."""
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")
"""Rotary scalings that depend on the longest position in the batch: a row would depend on its company."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInput:
    """A packed batch: decode rows first, then the prompts' chunks. `keep` are the places whose logits are wanted."""

    tokens: list[int]
    positions: list[int]
    keep: list[int]
    attention: AttentionStep


class PackedModel:
    """The model. Not thread-safe: one thread drives it.

    Raises:
        BaseModelUnavailable: the directory cannot be loaded.
        UnsupportedModel: it can, and this engine would not compute the same.
    """

    def __init__(self, model_dir: Path, *, max_batch: int, threads: int, architecture: str | None = None) -> None:
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        packed.register()
        model, stored_dtype = _load(model_dir)
        if architecture is not None and type(model).__name__ != architecture:
            raise UnsupportedModel(
                f"The base model in {model_dir} is a {type(model).__name__}; base_model.architecture says "
                f"{architecture}.",
                remedy="Mend configs/model_config.json.",
            )
        self._model = model
        self.config: Any = model.config.get_text_config()
        self.lora_step = LoraStep()
        with torch.inference_mode():
            expectation = _Expectation(model)
            self.kv_shape = expectation.kv_shape
            self.shapes = {
                name: (module.in_features, module.out_features)
                for name, module in model.named_modules()
                if type(module) is nn.Linear and module is not model.get_output_embeddings()
            }
            layers = self._pack(stored_dtype)
            self.lora_tables = LoraTables(layers, rows=max_batch, step=self.lora_step)
            model.set_attn_implementation(packed.NAME)
            self.batch_invariant = expectation.compare(self)

    @property
    def max_positions(self) -> int:
        return int(getattr(self.config, "max_position_embeddings", 0) or 1 << 20)

    @property
    def vocabulary_size(self) -> int:
        return int(self.config.vocab_size)

    @torch.inference_mode()
    def step(self, work: StepInput) -> Tensor:
        """One pass. Returns logits [len(keep), vocabulary], float32. Leaves every `kv.length` as it was."""
        padding = max(0, MIN_ROWS - len(work.tokens))
        keep = work.keep * MIN_ROWS if len(work.keep) == 1 else work.keep
        out = self._model(
            input_ids=torch.tensor([work.tokens + [0] * padding]),
            position_ids=torch.tensor([work.positions + [0] * padding]),
            use_cache=False,
            logits_to_keep=torch.tensor(keep, dtype=torch.long),
            **{packed.STEP_ARGUMENT: work.attention},
        )
        logits: Tensor = out.logits[0, : len(work.keep)]
        return logits

    def _pack(self, stored_dtype: torch.dtype) -> dict[str, LoraLinear]:
        """Put our layers where the model's linear layers were. Weights are let go one by one to keep the peak low."""
        model = self._model
        pack = PackedLinear if can_pack() else (lambda linear: linear)
        embedding = model.get_input_embeddings()
        head = model.get_output_embeddings()
        if isinstance(head, nn.Linear):
            model.set_output_embeddings(pack(head))
        if isinstance(embedding, nn.Embedding) and can_pack() and stored_dtype.itemsize == 2:
            model.set_input_embeddings(SmallTableEmbedding(embedding, stored_dtype))
        del head, embedding
        layers: dict[str, LoraLinear] = {}
        for name, shape in self.shapes.items():
            parent = model.get_submodule(name.rpartition(".")[0])
            leaf = name.rpartition(".")[2]
            layer = LoraLinear(name, pack(getattr(parent, leaf)), shape, self.lora_step)
            setattr(parent, leaf, layer)
            layers[name] = layer
        return layers


def _load(model_dir: Path) -> tuple[Any, torch.dtype]:
    transformers_logging.disable_progress_bar()  # a server's log is no terminal
    try:
        described = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
        model = AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=torch.float32,
            attn_implementation="sdpa",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseModelUnavailable(
            f"The base model in {model_dir} cannot be loaded: {error}.",
            remedy="Run `turkish-ai doctor`; delete the directory to have it made again.",
        ) from error
    text_config = model.config.get_text_config()
    rope = getattr(text_config, "rope_parameters", None) or getattr(text_config, "rope_scaling", None) or {}
    if any(kind in json.dumps(rope, default=str) for kind in _LENGTH_DEPENDENT_ROPE):
        raise UnsupportedModel(
            f"The base model's rotary scaling ({', '.join(_LENGTH_DEPENDENT_ROPE)}) depends on the longest text in "
            "the batch, so an answer would depend on its company.",
            remedy="Choose another base model.",
        )
    stored = getattr(torch, str(described.get("dtype") or described.get("torch_dtype") or "float32"), torch.float32)
    return model.eval().requires_grad_(False), stored


class _Expectation:
    """The model's own logits for two short texts, taken before anything is changed."""

    _LENGTHS = (13, 6)
    _SPLIT = 7  # the first text goes through in two chunks, as a long prompt would

    def __init__(self, model: Any) -> None:
        generator = torch.Generator().manual_seed(20261)
        vocabulary = int(model.config.get_text_config().vocab_size)
        self._texts = [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in self._LENGTHS]
        self._logits: list[Tensor] = []
        for text in self._texts:
            out = model(input_ids=torch.tensor([text]), use_cache=True, logits_to_keep=2)
            self._logits.append(out.logits[0])  # [2, vocabulary]: before and after the last token
        self.kv_shape = _kv_shape(out.past_key_values)

    def compare(self, model: PackedModel) -> bool:
        """Prefill both, in chunks and together, then decode one token of each. Raises UnsupportedModel.

        Returns whether a text's logits are the same to the bit alone and in company.
        """
        try:
            together = self._run(model, [0, 1])
            alone = self._run(model, [0])
        except (TypeError, KeyError, AttributeError, IndexError, RuntimeError) as error:
            raise UnsupportedModel(
                f"The base model ({type(model._model).__name__}) cannot run as a packed batch: {error!r}.",
                remedy="Choose a decoder that uses transformers' attention interface (Gemma, Llama, Qwen, ...).",
            ) from error
        for own, ours in zip(self._logits, together, strict=True):
            worst = float(((own - ours).abs() / own.abs().amax().clamp(min=1.0)).max())
            if not worst < _CHECK_TOLERANCE:
                raise UnsupportedModel(
                    f"The base model ({type(model._model).__name__}) gives other logits as a packed batch: relative "
                    f"difference {worst:.2g}, allowed {_CHECK_TOLERANCE:g}.",
                    remedy="Choose another base model.",
                )
        return bool(torch.equal(alone[0], together[0]))

    def _run(self, model: PackedModel, chosen: Sequence[int]) -> list[Tensor]:
        texts = [self._texts[i] for i in chosen]
        kvs = [SequenceKv(model.kv_shape, len(text)) for text in texts]
        before: list[Tensor] = []
        first = texts[0][: self._SPLIT]
        model.step(_prefill_input([(first, kvs[0])]))
        kvs[0].length += len(first)
        rest = [
            (text[self._SPLIT if n == 0 else 0 : -1], kv) for n, (text, kv) in enumerate(zip(texts, kvs, strict=True))
        ]
        before = list(model.step(_prefill_input(rest)))
        for tokens, kv in rest:
            kv.length += len(tokens)
        after = model.step(
            StepInput(
                tokens=[text[-1] for text in texts],
                positions=[kv.length for kv in kvs],
                keep=list(range(len(texts))),
                attention=AttentionStep(decode=kvs, prefill=[]),
            )
        )
        return [torch.stack(pair) for pair in zip(before, after, strict=True)]


def _prefill_input(parts: Sequence[tuple[list[int], SequenceKv]]) -> StepInput:
    tokens: list[int] = []
    positions: list[int] = []
    spans: list[PrefillSpan] = []
    for part, kv in parts:
        spans.append(PrefillSpan(start=len(tokens), end=len(tokens) + len(part), kv=kv))
        positions += range(kv.length, kv.length + len(part))
        tokens += part
    return StepInput(
        tokens=tokens,
        positions=positions,
        keep=[span.end - 1 for span in spans],
        attention=AttentionStep(decode=[], prefill=spans),
    )


def _kv_shape(cache: Any) -> KvShape:
    layers = []
    for layer in cache.layers:
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if not isinstance(keys, Tensor) or not isinstance(values, Tensor) or keys.dim() != 4:
            raise UnsupportedModel(
                f"The base model has a layer without keys and values ({type(layer).__name__}).",
                remedy="Choose a decoder with attention in every layer (Gemma, Llama, Qwen, ...).",
            )
        layers.append(LayerKvShape(heads=keys.shape[1], key_dim=keys.shape[3], value_dim=values.shape[3]))
    return KvShape(layers=tuple(layers), dtype=torch.float32)
