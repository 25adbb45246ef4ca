"""What an adapter has to fit is read from the files' headers, and is what the loaded model would say."""

import json
from pathlib import Path
from typing import Any

import pytest

from turkish_ai.cli.base_model import base_rules
from turkish_ai.errors import BaseModelUnavailable
from turkish_ai.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def settings(isolated: None) -> Settings:
    return load_settings()


@pytest.mark.parametrize("family", ["gemma3", "llama", "qwen3"])
def test_the_linear_layers_are_those_of_the_loaded_model(tmp_path: Path, settings: Settings, family: str) -> None:
    from torch import nn
    from transformers import AutoModelForCausalLM

    from tests.fakes.tiny_models import make_model

    folder = make_model(family, tmp_path / family)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    loaded = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
    }
    rules = base_rules(settings, folder)
    assert dict(rules.shapes) == loaded
    assert rules.base_names == settings.base_model_names
    assert rules.max_rank == settings.config.lora.max_rank
    assert len(rules.base_fingerprint) == 64


def test_every_shard_of_a_large_model_is_read(tmp_path: Path, settings: Settings) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    weights = {"a.safetensors": "model.layers.0.q_proj", "b.safetensors": "model.layers.1.q_proj"}
    for file, module in weights.items():
        save_file({f"{module}.weight": np.zeros((3, 5), np.float32)}, tmp_path / file)
    index = {"weight_map": {f"{module}.weight": file for file, module in weights.items()}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text("{}")
    assert base_rules(settings, tmp_path).shapes == {"model.layers.0.q_proj": (5, 3), "model.layers.1.q_proj": (5, 3)}


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "config.json").write_text("{}")
    for content in (b"", b"nonsense at least eight bytes long", (10).to_bytes(8, "little") + b"not json !"):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(BaseModelUnavailable, match=r"model\.safetensors"):
            base_rules(settings, tmp_path)
