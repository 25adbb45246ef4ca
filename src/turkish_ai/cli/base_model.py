"""The base model as the commands need it: from the settings to its source, its directory, and what fits it.

Used by every command that prepares, checks or names the base model. Loads no weights: shapes come from the headers of
the safetensors files.
"""

import json
import struct
from pathlib import Path
from typing import Any

from turkish_ai.base_model import BaseModelSource, fingerprint
from turkish_ai.base_model.model_directory import weight_files
from turkish_ai.engines.adapters import AdapterRules
from turkish_ai.errors import BaseModelUnavailable
from turkish_ai.settings import Settings

_NO_LINEAR_LAYER = ("embed", "lm_head")
"""Parts of the names of two-dimensional tensors that are tables or the output head, which no adapter changes."""
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit


def base_model_source(settings: Settings) -> BaseModelSource:
    return BaseModelSource(
        source=settings.base_model,
        sha256=settings.base_model_sha256,
        revision=settings.config.base_model.revision,
    )


def base_rules(settings: Settings, model_dir: Path) -> AdapterRules:
    """What an adapter has to fit, as the embedded engine would say it, in milliseconds and without torch.

    A linear layer is a two-dimensional `*.weight` that is neither an embedding nor the output head; the checkpoint
    stores it as [outputs, inputs].

    Raises:
        BaseModelUnavailable: the directory holds no readable safetensors weights.
    """
    shapes: dict[str, tuple[int, int]] = {}
    for file in weight_files(model_dir):
        for name, tensor in _header(file).items():
            shape = tensor.get("shape") if isinstance(tensor, dict) else None
            module, is_weight = name.removesuffix(".weight"), name.endswith(".weight")
            if not is_weight or not isinstance(shape, list) or len(shape) != 2:
                continue
            if any(part in module.rpartition(".")[2] for part in _NO_LINEAR_LAYER):
                continue
            outputs, inputs = shape
            shapes[module] = (inputs, outputs)
    return AdapterRules(
        base_names=settings.base_model_names,
        base_fingerprint=fingerprint(model_dir),
        shapes=shapes,
        max_rank=settings.config.lora.max_rank,
    )


def _header(file: Path) -> dict[str, Any]:
    """A safetensors file begins with the length of its header in 8 bytes, then the header as JSON."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > _MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(opened.read(length))
    except (OSError, ValueError, struct.error) as error:
        raise BaseModelUnavailable(
            f"{file} is not a readable safetensors file ({error}).", remedy="Download or copy the model again."
        ) from error
    if not isinstance(header, dict):
        raise BaseModelUnavailable(f"{file} has no safetensors header.", remedy="Download or copy the model again.")
    return header
