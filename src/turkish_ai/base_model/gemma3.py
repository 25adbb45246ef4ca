"""What a Gemma 3 text model is called in a GGUF file and in a Hugging Face directory.

Called by `base_model.conversion`. Knows names, shapes and configuration values; touches no file and no tensor. The
names follow llama.cpp's converter, the values transformers' own GGUF loader (5.23, `integrations/ggml.py` and
`modeling_gguf_pytorch_utils.py`); a slow test holds the two against each other.
"""

from collections.abc import Mapping
from typing import Any

from turkish_ai.base_model.gguf_file import GgufHeader
from turkish_ai.errors import BaseModelUnavailable

ARCHITECTURE = "gemma3"

_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_CONFIG_KEYS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.sliding_window": "sliding_window",
}
_READ_ELSEWHERE = {"rope.freq_base", "attention.value_length", "vocab_size"}

# A GGUF file does not say these two; llama.cpp and transformers both hold them as constants of the architecture.
_FULL_ATTENTION_EVERY = 6
_LOCAL_ROPE_THETA = 10_000.0

_REMEDY = "Convert this model to a Hugging Face directory and point TURKISH_AI_BASE_MODEL at it."


def build_config(header: GgufHeader) -> dict[str, Any]:
    """The contents of `config.json`.

    Raises:
        BaseModelUnavailable: another architecture, a value missing, or one that this conversion does not understand.
    """
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise BaseModelUnavailable(
            f"The GGUF file holds the architecture {architecture!r}; only {ARCHITECTURE!r} can be converted.",
            remedy=_REMEDY,
        )
    prefix = f"{ARCHITECTURE}."
    stated = {key.removeprefix(prefix) for key in metadata if key.startswith(prefix)}
    if missing := sorted({*_CONFIG_KEYS, "rope.freq_base"} - stated):
        raise BaseModelUnavailable(f"The GGUF file does not state {', '.join(missing)}.", remedy=_REMEDY)
    if unknown := sorted(stated - {*_CONFIG_KEYS, *_READ_ELSEWHERE}):
        raise BaseModelUnavailable(
            f"The GGUF file states {', '.join(unknown)}, which the conversion does not carry over.", remedy=_REMEDY
        )
    config = {ours: metadata[prefix + theirs] for theirs, ours in _CONFIG_KEYS.items()}
    if metadata.get(f"{prefix}attention.value_length", config["head_dim"]) != config["head_dim"]:
        raise BaseModelUnavailable("The GGUF file gives keys and values different head sizes.", remedy=_REMEDY)
    layers = range(1, config["num_hidden_layers"] + 1)
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "dtype": "bfloat16",
        **config,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": config["head_dim"],
        "layer_types": ["sliding_attention" if n % _FULL_ATTENTION_EVERY else "full_attention" for n in layers],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": metadata[f"{prefix}rope.freq_base"]},
            "sliding_attention": {"rope_type": "default", "rope_theta": _LOCAL_ROPE_THETA},
        },
        "tie_word_embeddings": all(tensor.name != "output.weight" for tensor in header.tensors),
        **token_ids(metadata),
    }


def build_generation_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of `generation_config.json`: the ids alone, since sampling belongs to the request."""
    return dict(token_ids(metadata))


def token_ids(metadata: Mapping[str, Any]) -> dict[str, int]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    found = {ours: metadata.get(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in names.items()}
    return {f"{ours}_token_id": token_id for ours, token_id in found.items() if token_id is not None}


def expected_tensors(config: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """GGUF name -> (Hugging Face name, shape) of every tensor that a model of this configuration has."""
    hidden, inner, head_dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    shapes = {
        "attn_q": (queries, hidden),
        "attn_k": (keys, hidden),
        "attn_v": (keys, hidden),
        "attn_output": (hidden, queries),
        "attn_q_norm": (head_dim,),
        "attn_k_norm": (head_dim,),
        "ffn_gate": (inner, hidden),
        "ffn_up": (inner, hidden),
        "ffn_down": (hidden, inner),
    }
    vocabulary = (config["vocab_size"], hidden)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "token_embd.weight": ("model.embed_tokens.weight", vocabulary),
        "output_norm.weight": ("model.norm.weight", (hidden,)),
    }
    if not config["tie_word_embeddings"]:
        tensors["output.weight"] = ("lm_head.weight", vocabulary)
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in _LAYER_TENSORS.items():
            name = f"model.layers.{layer}.{ours}.weight"
            tensors[f"blk.{layer}.{theirs}.weight"] = (name, shapes.get(theirs, (hidden,)))
    return tensors


def is_stored_plus_one(gguf_name: str) -> bool:
    """llama.cpp's converter adds 1 to Gemma's norm weights, because Gemma multiplies by `1 + weight`."""
    return gguf_name.endswith("norm.weight")
