"""The trained router as a file: a linear model over text features, in safetensors, named by its content.

Written by `training`, read by whoever builds a `SectorRouter`. Knows nothing of how the weights were found and runs
no code from the file: tensors and one JSON text are all it holds.

Layout, format 1 (F features, C classes):
    vocabulary       uint8    [bytes]  the F features in UTF-8, a line feed between two
    feature_weights  float32  [F]      what a feature counts: idf times its place in the word
    weights          float32  [F, C]
    bias             float32  [C]
    metadata `router`: JSON with format, classes, spec, temperature, provenance (data's sha256, seed, figures ...)
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from turkish_ai.errors import DataError
from turkish_ai.messages import GENERAL
from turkish_ai.routing.features import FeatureSpec
from turkish_ai.settings import is_sector_or_general

FORMAT = 1
_METADATA_KEY = "router"  # one key: safetensors writes several in no fixed order, and the bytes name the version
_SEPARATOR = "\n"
_DTYPES = {"vocabulary": "uint8", "feature_weights": "float32", "weights": "float32", "bias": "float32"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RouterModel:
    """Probabilities are softmax((x @ weights + bias) / temperature), x being the weighted features at length 1."""

    classes: tuple[str, ...]
    spec: FeatureSpec
    vocabulary: Mapping[str, int]
    feature_weights: NDArray[np.float32]  # [features]
    weights: NDArray[np.float32]  # [features, classes]
    bias: NDArray[np.float32]  # [classes]
    temperature: float
    provenance: Mapping[str, Any]
    sha256: str = ""
    """Of the file's bytes; empty while there is no file."""


def to_bytes(model: RouterModel) -> bytes:
    """The file's content: equal models give equal bytes."""
    names = sorted(model.vocabulary, key=model.vocabulary.__getitem__)
    metadata = {
        "format": FORMAT,
        "classes": list(model.classes),
        "spec": asdict(model.spec),
        "temperature": model.temperature,
        "provenance": dict(model.provenance),
    }
    tensors: dict[str, NDArray[Any]] = {
        "vocabulary": np.frombuffer(_SEPARATOR.join(names).encode(), dtype=np.uint8),
        "feature_weights": model.feature_weights,
        "weights": model.weights,
        "bias": model.bias,
    }
    return save(tensors, metadata={_METADATA_KEY: json.dumps(metadata, ensure_ascii=False, sort_keys=True)})


def load_model(path: Path) -> RouterModel:
    """Read and check a router file.

    Raises:
        DataError: it cannot be read, is cut short, has another format, names unknown classes, or its tensors do not
            fit together. The message says which.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror})") from error
    return from_bytes(content, path=path)


def from_bytes(content: bytes, *, path: Path) -> RouterModel:
    """`load_model` for bytes at hand; `path` is for the messages alone."""
    try:
        tensors = load(content)
    except (SafetensorError, ValueError) as error:
        raise _refuse(path, f"is not a whole safetensors file ({error})") from error
    found = {name: str(tensor.dtype) for name, tensor in tensors.items()}
    if found != _DTYPES:
        raise _refuse(path, f"holds the tensors {found}, needed are {_DTYPES}")
    metadata = _metadata(content, path)
    classes = _classes(metadata, path)
    vocabulary = _vocabulary(tensors["vocabulary"], path)
    shapes = {name: tensors[name].shape for name in ("feature_weights", "weights", "bias")}
    size, count = len(vocabulary), len(classes)
    needed = {"feature_weights": (size,), "weights": (size, count), "bias": (count,)}
    if shapes != needed:
        raise _refuse(path, f"has {size} features and {count} classes, which need the shapes {needed}; found {shapes}")
    if not all(np.isfinite(tensors[name]).all() for name in shapes):
        raise _refuse(path, "holds a number that is not finite")
    return RouterModel(
        classes=classes,
        spec=_spec(metadata, path),
        vocabulary=vocabulary,
        feature_weights=tensors["feature_weights"],
        weights=tensors["weights"],
        bias=tensors["bias"],
        temperature=_temperature(metadata, path),
        provenance=metadata.get("provenance", {}),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _metadata(content: bytes, path: Path) -> dict[str, Any]:
    """From the header that `load` has already found sound: 8 bytes of length, then JSON."""
    header_bytes = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_bytes])
    try:
        metadata = json.loads(header["__metadata__"][_METADATA_KEY])
    except (KeyError, ValueError) as error:
        raise _refuse(path, f"has no readable `{_METADATA_KEY}` entry in its metadata") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        found = metadata.get("format") if isinstance(metadata, dict) else metadata
        raise _refuse(path, f"has format {found!r}, this version reads {FORMAT}")
    return metadata


def _classes(metadata: dict[str, Any], path: Path) -> tuple[str, ...]:
    classes = metadata.get("classes")
    if not isinstance(classes, list) or not all(isinstance(c, str) and is_sector_or_general(c) for c in classes):
        raise _refuse(path, f"names classes that are no sectors: {classes!r}")
    if len(set(classes)) != len(classes) or GENERAL not in classes or len(classes) < 2:
        raise _refuse(path, f"needs each class once, and `{GENERAL}` among them: {classes!r}")
    return tuple(classes)


def _vocabulary(encoded: NDArray[Any], path: Path) -> dict[str, int]:
    try:
        names = encoded.tobytes().decode().split(_SEPARATOR)
    except UnicodeDecodeError as error:
        raise _refuse(path, "has a vocabulary that is not UTF-8") from error
    vocabulary = {name: index for index, name in enumerate(names)}
    if len(vocabulary) != len(names):
        raise _refuse(path, "names a feature twice")
    return vocabulary


def _spec(metadata: dict[str, Any], path: Path) -> FeatureSpec:
    try:
        return FeatureSpec(**metadata["spec"])
    except (KeyError, TypeError, ValueError) as error:
        raise _refuse(path, f"has no usable feature specification ({error})") from error


def _temperature(metadata: dict[str, Any], path: Path) -> float:
    temperature = metadata.get("temperature")
    if not isinstance(temperature, float) or not 0 < temperature < float("inf"):
        raise _refuse(path, f"has the temperature {temperature!r}; needed is a number above 0")
    return temperature


def _refuse(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: this router file {reason}.", remedy="Delete it; the next start builds it again.")
