"""PEFT's LoRA layers on the base model: growing them, taking their weights out, putting them back.

Called by `training.trainer` and `training.adapter_folder`. Knows nothing of data, losses or files' places.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from turkish_ai.errors import BaseModelUnavailable, SettingsError
from turkish_ai.settings import LoraConfig


def load_base_model(model_dir: Path, *, device: torch.device, dtype: torch.dtype) -> Any:
    """The causal model; PEFT keeps what is trained in float32 whatever `dtype` is.

    Raises:
        BaseModelUnavailable: the directory cannot be loaded.
    """
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # our own progress says what is happening
    try:
        return AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, local_files_only=True).to(device)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise BaseModelUnavailable(
            f"{model_dir} cannot be loaded as a language model: {error}.", remedy="Download or copy the model again."
        ) from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def add_lora(model: Any, config: LoraConfig, *, seed: int) -> Any:
    """PEFT's model around `model`, with fresh weights from `seed`; only they will be trained.

    Sets torch's global seed, which PEFT draws from.

    Raises:
        SettingsError: the model has none of the modules that `lora.target_modules` names.
    """
    endings = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if missing := [target for target in config.target_modules if target not in endings]:
        raise SettingsError(
            f"lora.target_modules names {missing[0]!r}, which is no module of {type(model).__name__}.",
            remedy="Mend it in configs/model_config.json.",
            message_tr=f"lora.target_modules içindeki {missing[0]!r}, {type(model).__name__} modelinde yok.",
            remedy_tr="configs/model_config.json dosyasında düzeltin.",
        )
    torch.manual_seed(seed)
    described = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 for a property that was renamed.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return get_peft_model(model, described)


def lora_parameters(peft_model: Any) -> list[torch.nn.Parameter]:
    return [parameter for parameter in peft_model.parameters() if parameter.requires_grad]


def lora_weights(peft_model: Any) -> dict[str, Tensor]:
    """A copy, under the names that PEFT's files use."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        # Left to itself, PEFT asks the hub whether the base model's embedding was resized.
        for name, tensor in get_peft_model_state_dict(peft_model, save_embedding_layers=False).items()
    }


def restore_lora_weights(peft_model: Any, weights: Mapping[str, Tensor]) -> None:
    set_peft_model_state_dict(peft_model, dict(weights))


def peft_description(peft_model: Any, *, base_name: str) -> dict[str, Any]:
    """PEFT's own adapter_config.json, as JSON values: in a fixed order, without this machine's paths."""
    described: dict[str, Any] = peft_model.peft_config["default"].to_dict()
    described |= {
        "base_model_name_or_path": base_name,
        "revision": None,
        "inference_mode": True,
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
    }
    return {key: sorted(value) if isinstance(value, set) else value for key, value in sorted(described.items())}
