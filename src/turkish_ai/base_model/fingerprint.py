"""A fast, stable identity of a model's weights.

Adapters record it, and are refused on another base. Called by training, the engine and `base_model.preparation`.
Knows files, not tensors. It notices another model, another precision and other training, not an edit made on purpose
in the middle of a shard: it is an identity and no proof against forgery.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from turkish_ai.base_model.model_directory import weight_files
from turkish_ai.base_model.record import read_record
from turkish_ai.errors import BaseModelUnavailable

_EDGE_BYTES = 1 << 20
_FORMAT = b"turkish-ai base model fingerprint 1\n"

# What transformers rewrites when it saves the same model again, and what does not change what the weights mean.
_VOLATILE_CONFIG_KEYS = frozenset(
    {"_name_or_path", "_model_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
)


def fingerprint(model_dir: Path) -> str:
    """64 hexadecimal digits, from `conversion.json` where that describes the directory, else computed (2 ms).

    The two ways give the same digits for the same files, so a copy without `conversion.json` is the same base.

    Raises:
        BaseModelUnavailable: there is no configuration, or no weights in safetensors.
    """
    record = read_record(model_dir)
    if record is not None and record.describes(model_dir):
        return record.fingerprint
    return compute_fingerprint(model_dir)


def compute_fingerprint(model_dir: Path) -> str:
    """Over the configuration, and each shard's name, size, header, and first and last MiB of data."""
    digest = hashlib.sha256(_FORMAT)
    digest.update(_architecture(model_dir / "config.json"))
    for shard in weight_files(model_dir):
        size = shard.stat().st_size
        digest.update(json.dumps([shard.name, size]).encode())
        with shard.open("rb") as file:
            data_start = _header_end(shard, file.read(8), size=size)
            file.seek(0)
            digest.update(file.read(data_start))
            digest.update(file.read(_EDGE_BYTES))
            file.seek(max(data_start, size - _EDGE_BYTES))
            digest.update(file.read(_EDGE_BYTES))
    return digest.hexdigest()


def _architecture(config: Path) -> bytes:
    try:
        document: Any = json.loads(config.read_bytes())
        kept = {key: value for key, value in document.items() if key not in _VOLATILE_CONFIG_KEYS}
    except (OSError, ValueError, AttributeError) as error:
        raise BaseModelUnavailable(
            f"{config} cannot be read as a model's configuration: {error}.", remedy="Download or copy the model again."
        ) from error
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def _header_end(shard: Path, preamble: bytes, *, size: int) -> int:
    """A safetensors file starts with its header's length in 8 bytes."""
    length = struct.unpack("<Q", preamble)[0] if len(preamble) == 8 else size
    if 8 + length > size:
        raise BaseModelUnavailable(
            f"{shard} is not a whole safetensors file: it has {size} bytes.", remedy="Download or copy the model again."
        )
    return int(8 + length)
