from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from turkish_ai.errors import DataError
from turkish_ai.routing.features import FeatureSpec
from turkish_ai.routing.model import RouterModel, from_bytes, load_model, to_bytes

MODEL = RouterModel(
    classes=("legal", "energy", "general"),
    spec=FeatureSpec(ngram_min=2, ngram_max=3),
    vocabulary={"_k": 0, "ışı": 1},
    feature_weights=np.array([1.0, 2.0], dtype=np.float32),
    weights=np.arange(6, dtype=np.float32).reshape(2, 3),
    bias=np.zeros(3, dtype=np.float32),
    temperature=0.5,
    provenance={"seed": 1},
)
HERE = Path("router.safetensors")


def test_a_model_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "router.safetensors"
    path.write_bytes(to_bytes(MODEL))
    found = load_model(path)
    assert found.classes == MODEL.classes
    assert found.spec == MODEL.spec
    assert found.vocabulary == MODEL.vocabulary
    assert found.temperature == 0.5
    assert found.provenance == {"seed": 1}
    np.testing.assert_array_equal(found.weights, MODEL.weights)


def test_equal_models_give_equal_bytes_and_one_version() -> None:
    assert to_bytes(MODEL) == to_bytes(replace(MODEL))
    assert from_bytes(to_bytes(MODEL), path=HERE).sha256 == from_bytes(to_bytes(MODEL), path=HERE).sha256
    assert (
        from_bytes(to_bytes(MODEL), path=HERE).sha256
        != from_bytes(to_bytes(replace(MODEL, temperature=0.6)), path=HERE).sha256
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"classes": ("legal", "law", "general")}, "classes that are no sectors"),
        ({"classes": ("legal", "legal", "general")}, "each class once"),
        ({"classes": ("legal", "energy")}, "each class once"),
        ({"weights": np.zeros((2, 2), dtype=np.float32)}, "need the shapes"),
        ({"bias": np.zeros(4, dtype=np.float32)}, "need the shapes"),
        ({"vocabulary": {"_k": 0}}, "need the shapes"),
        ({"weights": np.full((2, 3), np.nan, dtype=np.float32)}, "not finite"),
        ({"weights": np.zeros((2, 3))}, "the tensors"),
        ({"temperature": 0.0}, "the temperature 0.0"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=rf"router\.safetensors: this router file .*{reason}"):
        from_bytes(to_bytes(replace(MODEL, **changes)), path=HERE)


@pytest.mark.parametrize("content", [b"", b"nonsense", to_bytes(MODEL)[:-1], to_bytes(MODEL)[:40]])
def test_a_file_that_is_cut_short_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"not a whole safetensors file.*Delete it"):
        from_bytes(content, path=HERE)


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match="holds the tensors"):
        from_bytes(save({"lora_A": np.zeros((2, 2), dtype=np.float32)}), path=HERE)


def test_a_file_of_another_format_is_refused() -> None:
    content = to_bytes(MODEL).replace(b'\\"format\\": 1', b'\\"format\\": 9')
    with pytest.raises(DataError, match="has format 9, this version reads 1"):
        from_bytes(content, path=HERE)


def test_a_vocabulary_that_names_a_feature_twice_is_refused() -> None:
    content = to_bytes(replace(MODEL, vocabulary={"_k": 0, "_m": 1})).replace(b"_k\n_m", b"_k\n_k")
    with pytest.raises(DataError, match="names a feature twice"):
        from_bytes(content, path=HERE)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_model(tmp_path / "none.safetensors")
