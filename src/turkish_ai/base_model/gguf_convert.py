"""Turn a GGUF file of Gemma 3 into a Hugging Face directory: bf16 weights, configuration, tokenizer.

Called by `base_model.preparation`, once for each model and converter version. Knows nothing of where the file comes
from or of locks: it is handed a file and an empty directory. Imports numpy and gguf, so nothing imports it at start.

The arithmetic is that of `gguf.quants`, in blocks that stay in the processor's cache, and equals transformers' own
conversion bit for bit (a slow test proves it). It takes seconds where transformers takes minutes.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from turkish_ai.base_model.disk import FreeBytes, require_free, write_durably
from turkish_ai.base_model.gemma3 import build_config, build_generation_config, expected_tensors, is_stored_plus_one
from turkish_ai.base_model.gguf_file import GgufHeader, TensorEntry, read_gguf_header
from turkish_ai.base_model.progress import Progress, Words
from turkish_ai.base_model.tokenizer_build import build_tokenizer
from turkish_ai.errors import BaseModelUnavailable

WEIGHTS_FILE = "model.safetensors"

_BF16_BYTES = 2
_CHUNK_ELEMENTS = 1 << 18  # 1 MiB of fp32. Measured a weight: 5 ns here, 8 ns at 1 << 20, 15 ns at 1 << 22.
_SMALL_FILES_BYTES = 64 << 20  # configuration and tokenizer; the default model's take 12 MB
_REMEDY = "Convert this model to a Hugging Face directory and point TURKISH_AI_BASE_MODEL at it."


def convert(gguf: Path, into: Path, *, progress: Progress, free_bytes: FreeBytes) -> dict[str, str]:
    """Write the model's files into the empty directory `into`, each of them synced. Returns file name -> sha256.

    Raises:
        BaseModelUnavailable: the file holds another model than Gemma 3, or the disk is too full. What was written
            so far stays, for the caller to take away.
    """
    header = read_gguf_header(gguf)
    config = build_config(header)
    names = _match_tensors(gguf, header, config)
    weights_bytes = sum(tensor.elements for tensor in header.tensors) * _BF16_BYTES
    require_free(into, needed_bytes=weights_bytes + _SMALL_FILES_BYTES, free_bytes=free_bytes)

    progress.start(Words("Building the tokenizer", tr="Tokenizer oluşturuluyor"), None)
    tokenizer, tokenizer_config = build_tokenizer(header.metadata)
    documents = {
        "config.json": _pretty(config),
        "generation_config.json": _pretty(build_generation_config(header.metadata)),
        "tokenizer.json": json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode(),
        "tokenizer_config.json": _pretty(tokenizer_config),
    }
    for name, content in documents.items():
        write_durably(into / name, content)
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in documents.items()}

    progress.start(Words("Converting the weights", tr="Ağırlıklar dönüştürülüyor"), weights_bytes)
    sha256[WEIGHTS_FILE] = _write_weights(gguf, header, names, into / WEIGHTS_FILE, progress=progress)
    progress.finish()
    return sha256


def _match_tensors(gguf: Path, header: GgufHeader, config: dict[str, Any]) -> dict[str, str]:
    """GGUF name -> Hugging Face name. Every tensor is known, none is missing, and each lies inside the file."""
    expected = expected_tensors(config)
    found = {tensor.name: tensor for tensor in header.tensors}
    if unknown := sorted(found.keys() - expected.keys()):
        raise BaseModelUnavailable(f"The GGUF file holds tensors unknown to Gemma 3: {unknown[:5]}.", remedy=_REMEDY)
    if missing := sorted(expected.keys() - found.keys()):
        raise BaseModelUnavailable(f"The GGUF file lacks tensors of Gemma 3: {missing[:5]}.", remedy=_REMEDY)
    file_bytes = gguf.stat().st_size
    for name, (_, shape) in expected.items():
        tensor = found[name]
        if tensor.shape != shape:
            raise BaseModelUnavailable(f"{name} has the shape {tensor.shape}, not {shape}.", remedy=_REMEDY)
        if tensor.offset_bytes + _stored_bytes(tensor) > file_bytes:
            raise BaseModelUnavailable(
                f"{gguf.name} ends after {file_bytes} bytes, inside {name}.", remedy="Check where the file comes from."
            )
    return {name: hf_name for name, (hf_name, _) in expected.items()}


def _write_weights(gguf: Path, header: GgufHeader, names: dict[str, str], path: Path, *, progress: Progress) -> str:
    """Stream every tensor into one safetensors file; a few MiB are held at a time."""
    digest = hashlib.sha256()
    stored = np.memmap(gguf, dtype=np.uint8, mode="r")
    tensors = sorted(header.tensors, key=lambda tensor: names[tensor.name])
    with path.open("wb") as file:
        preamble = _safetensors_preamble({names[tensor.name]: tensor.shape for tensor in tensors})
        file.write(preamble)
        digest.update(preamble)
        for tensor in tensors:
            for values in _dequantised(tensor, stored):
                if not np.isfinite(values).all():
                    raise BaseModelUnavailable(f"{tensor.name} holds values that are not finite.", remedy=_REMEDY)
                block = round_to_bf16(values - np.float32(1) if is_stored_plus_one(tensor.name) else values).data
                file.write(block)
                digest.update(block)
                progress.advance(block.nbytes)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _safetensors_preamble(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """The header's length, and the header: https://github.com/huggingface/safetensors#format."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + int(np.prod(shape)) * _BF16_BYTES
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the data starts at a multiple of 8 bytes
    return struct.pack("<Q", len(header)) + header


def _dequantised(tensor: TensorEntry, stored: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
    """The tensor's values in order, flat, a chunk at a time."""
    kind = GGMLQuantizationType(tensor.ggml_type)
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    step = max(1, _CHUNK_ELEMENTS // block_elements) * block_bytes
    end = tensor.offset_bytes + _stored_bytes(tensor)
    for start in range(tensor.offset_bytes, end, step):
        # One row, because gguf loops in Python over groups of 16 rows.
        row = np.array(stored[start : min(start + step, end)]).reshape(1, -1)  # [1, bytes]
        try:
            values: npt.NDArray[np.float32] = quants.dequantize(row, kind).reshape(-1)
        except NotImplementedError as error:
            raise BaseModelUnavailable(
                f"{tensor.name} is stored as {kind.name}, which cannot be unpacked.", remedy=_REMEDY
            ) from error
        yield values


def _stored_bytes(tensor: TensorEntry) -> int:
    try:
        kind = GGMLQuantizationType(tensor.ggml_type)
    except ValueError as error:
        raise BaseModelUnavailable(
            f"{tensor.name} is quantised in a way that is not known here (ggml type {tensor.ggml_type}).",
            remedy=_REMEDY,
        ) from error
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    if tensor.shape[-1] % block_elements:
        raise BaseModelUnavailable(
            f"{tensor.name} has rows of {tensor.shape[-1]} values, not a multiple of {kind.name}'s {block_elements}.",
            remedy=_REMEDY,
        )
    return int(tensor.elements // block_elements * block_bytes)


def round_to_bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The upper halves of finite fp32 values, rounded to nearest, ties to even, as torch does."""
    bits = values.view(np.uint32)
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    return rounded.astype("<u2")


def _pretty(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
