"""The weights and the configuration, against slow and obvious ways to compute the same."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType

from tests.unit.base_model.conftest import HIDDEN, Edit, packed, write_tiny_gguf
from turkish_ai.base_model import SilentProgress
from turkish_ai.base_model.gguf_convert import convert, round_to_bf16
from turkish_ai.base_model.record import CONVERTER_VERSION
from turkish_ai.errors import BaseModelUnavailable

# What each converter version makes of the tiny model. Other bytes need another version: old caches must not be mixed up
# with new ones.
TINY_SHA256 = {1: "b43f3fd08da31298133b8828b29ff7e1f56f392656fddef278896a147387717d"}


def plenty(directory: Path) -> int:
    return 10**12


@pytest.fixture(scope="module")
def converted(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("converted")
    convert(tiny_gguf, directory, progress=SilentProgress(), free_bytes=plenty)
    return directory


def test_every_tensor_equals_transformers_own_conversion_bit_for_bit(tiny_gguf: Path, converted: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    theirs = AutoModelForCausalLM.from_pretrained(
        tiny_gguf.parent, gguf_file=tiny_gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    ours = AutoModelForCausalLM.from_pretrained(converted)
    assert ours.dtype == torch.bfloat16
    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name].view(torch.int16), tensor.to(torch.bfloat16).view(torch.int16)), name


def test_rounding_to_bf16_equals_torch_for_every_kind_of_value() -> None:
    import torch

    edges = [0.0, -0.0, 1.0, -1.0, 1.00390625, 1.01171875, 3.4028235e38, 1e-40, -1e-45, 65504.0]  # two ties among them
    bits = (np.arange(1 << 16, dtype=np.uint64) * np.uint64(65_537 * 40_503)).astype(np.uint32)
    values = np.concatenate([np.array(edges, dtype=np.float32), bits.view(np.float32)])
    values = values[np.isfinite(values)]
    expected = torch.from_numpy(values.copy()).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(round_to_bf16(values), expected)


def test_the_weights_file_is_a_safetensors_file_that_others_can_read(converted: Path) -> None:
    from safetensors import safe_open

    with safe_open(converted / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
        assert file.metadata() == {"format": "pt"}
        assert file.get_slice("model.embed_tokens.weight").get_shape()[1] == HIDDEN
    assert "model.layers.6.self_attn.q_norm.weight" in names
    assert "lm_head.weight" not in names  # tied to the embedding


def test_the_weights_start_at_a_multiple_of_eight_bytes(converted: Path) -> None:
    with (converted / "model.safetensors").open("rb") as file:
        assert struct.unpack("<Q", file.read(8))[0] % 8 == 0


def test_the_configuration_says_what_the_file_says(converted: Path) -> None:
    config = json.loads((converted / "config.json").read_bytes())
    assert config["model_type"] == "gemma3_text"
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    assert config["sliding_window"] == 64
    assert config["layer_types"] == ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]
    assert config["rope_parameters"]["full_attention"]["rope_theta"] == 1_000_000.0
    assert config["rope_parameters"]["sliding_attention"]["rope_theta"] == 10_000.0
    assert json.loads((converted / "generation_config.json").read_bytes()) == {
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }


def test_an_output_head_of_its_own_is_kept(tmp_path: Path) -> None:
    def untie(parts: dict[str, Any]) -> None:
        parts["tensors"]["output.weight"] = parts["tensors"]["token_embd.weight"]

    config, sha256 = convert_edited(tmp_path, untie)
    assert config["tie_word_embeddings"] is False
    assert b'"lm_head.weight"' in (tmp_path / "model" / "model.safetensors").read_bytes()[:100_000]
    assert sha256.keys() >= {"model.safetensors"}


def test_other_bytes_need_another_converter_version(converted: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(converted.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    assert digest.hexdigest() == TINY_SHA256[CONVERTER_VERSION]


def convert_edited(tmp_path: Path, edit: Edit) -> tuple[dict[str, Any], dict[str, str]]:
    directory = tmp_path / "model"
    directory.mkdir()
    gguf = write_tiny_gguf(tmp_path / "edited.gguf", edit)
    sha256 = convert(gguf, directory, progress=SilentProgress(), free_bytes=plenty)
    return json.loads((directory / "config.json").read_bytes()), sha256


def another_architecture(parts: dict[str, Any]) -> None:
    parts["architecture"] = "llama"


def without_a_value(parts: dict[str, Any]) -> None:
    del parts["metadata"]["gemma3.attention.sliding_window"]


def with_scaled_positions(parts: dict[str, Any]) -> None:
    parts["metadata"]["gemma3.rope.scaling.factor"] = 8.0


def with_uneven_heads(parts: dict[str, Any]) -> None:
    parts["metadata"]["gemma3.attention.value_length"] = 64


def with_an_unknown_tensor(parts: dict[str, Any]) -> None:
    parts["tensors"]["rope_freqs.weight"] = (np.ones(4, dtype=np.float32), None)


def without_a_tensor(parts: dict[str, Any]) -> None:
    del parts["tensors"]["blk.3.ffn_up.weight"]


def with_another_shape(parts: dict[str, Any]) -> None:
    parts["tensors"]["output_norm.weight"] = (np.ones(HIDDEN * 2, dtype=np.float32), None)


def with_a_weight_that_is_not_finite(parts: dict[str, Any]) -> None:
    values = np.ones(HIDDEN, dtype=np.float32)
    values[7] = np.nan
    parts["tensors"]["output_norm.weight"] = (values, None)


def with_a_scale_that_is_not_finite(parts: dict[str, Any]) -> None:
    kind = GGMLQuantizationType.Q8_0
    data = packed(kind, (128, HIDDEN), seed=0)
    data[5, 0:2] = np.array([np.inf], dtype=np.float16).view(np.uint8)
    parts["tensors"]["blk.0.attn_v.weight"] = (data, kind)


def with_integers_for_weights(parts: dict[str, Any]) -> None:
    parts["tensors"]["output_norm.weight"] = (np.ones(HIDDEN, dtype=np.int32), None)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (another_architecture, "architecture 'llama'"),
        (without_a_value, "does not state attention.sliding_window"),
        (with_scaled_positions, "rope.scaling.factor"),
        (with_uneven_heads, "different head sizes"),
        (with_an_unknown_tensor, "rope_freqs.weight"),
        (without_a_tensor, r"blk\.3\.ffn_up\.weight"),
        (with_another_shape, r"shape \(512,\), not \(256,\)"),
        (with_a_weight_that_is_not_finite, "output_norm.weight holds values that are not finite"),
        (with_a_scale_that_is_not_finite, "blk.0.attn_v.weight holds values that are not finite"),
        (with_integers_for_weights, "stored as I32"),
    ],
)
def test_a_file_that_the_conversion_does_not_understand_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(BaseModelUnavailable, match=message):
        convert_edited(tmp_path, edit)


def test_a_file_that_ends_inside_a_tensor_is_refused_before_anything_is_written(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:-5000])
    (tmp_path / "model").mkdir()
    with pytest.raises(BaseModelUnavailable, match="ends after"):
        convert(cut, tmp_path / "model", progress=SilentProgress(), free_bytes=plenty)
    assert not list((tmp_path / "model").iterdir())
