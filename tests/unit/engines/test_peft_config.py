"""Which modules a config chooses, and with which rank and scaling, against PEFT's own functions."""

from typing import Any

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import _ExcludedModule, check_target_module_exists
from peft.utils.other import get_pattern_key

from turkish_ai.engines.peft_config import PeftConfig

MODULES = [
    f"model.layers.{layer}.{name}"
    for layer in (0, 1, 11)
    for name in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj", "mlp.experts.1.up_proj")
]


def config(**entries: Any) -> PeftConfig:
    plain = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}
    return PeftConfig("folder", plain | entries)


@pytest.mark.parametrize(
    "entries",
    [
        {"target_modules": ["q_proj", "v_proj"]},
        {"target_modules": ["self_attn.q_proj", "model.layers.1.mlp.down_proj", "1.up_proj"]},
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": r"model\.layers\.(0|11)\..*"},
        {"target_modules": ["q_proj", "down_proj"], "exclude_modules": ["layers.1.mlp.down_proj"]},
        {"target_modules": ["q_proj", "down_proj"], "exclude_modules": r".*\.11\..*"},
        {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1, 11]},
        {"target_modules": ["q_proj", "model.layers.1.mlp.down_proj"], "layers_to_transform": 0},
        {"target_modules": ["up_proj"], "layers_to_transform": 1, "layers_pattern": "experts"},
        {"target_modules": ["up_proj"], "layers_to_transform": [1], "layers_pattern": ["experts", "layers"]},
        {"target_modules": ["up_proj"], "layers_to_transform": [0], "layers_pattern": ["h", "layers"]},
    ],
)
def test_the_modules_are_those_that_peft_chooses(entries: dict[str, Any]) -> None:
    theirs = LoraConfig(**entries)
    found = {m: check_target_module_exists(theirs, m) for m in MODULES}
    expected = {m for m, chosen in found.items() if chosen and not isinstance(chosen, _ExcludedModule)}
    assert expected
    assert config(**entries).targets(MODULES) == expected


@pytest.mark.parametrize("rslora", [False, True])
def test_rank_and_scaling_are_those_of_the_pattern_that_peft_takes(rslora: bool) -> None:
    ranks = {"layers.1.self_attn.q_proj": 4, "q_proj": 2, r"layers\.\d+\.mlp\..*": 16, "^down_proj": 3, "proj": 5}
    alphas = {r"(self_attn|mlp)\.[qd].*": 32, "v_proj": 1.5}
    ours = config(rank_pattern=ranks, alpha_pattern=alphas, use_rslora=rslora)
    for module in MODULES:
        rank = ranks.get(get_pattern_key(ranks.keys(), module), 8)
        alpha = alphas.get(get_pattern_key(alphas.keys(), module), 16)
        assert ours.rank(module) == rank
        assert ours.scaling(module, rank) == pytest.approx(alpha / (rank**0.5 if rslora else rank))
