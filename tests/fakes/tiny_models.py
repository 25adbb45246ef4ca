"""Tiny random models of several families, with a real tokenizer and real PEFT adapters, made by the tests."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

FAMILIES = ("gemma3", "llama", "qwen3")
SPECIAL = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
VOCABULARY = 512
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>assistant\n{% endif %}"
)
_TEXTS = [
    "Merhaba, kartımı kaybettim; ne yapmalıyım?",
    "Randevumu nasıl iptal ederim? Şişli'de öğleden sonra çığ düştü.",
    "Siparişim hâlâ gelmedi, iade etmek istiyorum. ĞÜŞİÖÇ ğüşiöç",
    "The quick brown fox jumps over the lazy dog 0123456789",
]


def make_tokenizer(folder: Path) -> None:
    """Byte-level BPE of 512 tokens: every text, emoji too, is a sequence of its tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(_TEXTS * 20, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    ).save_pretrained(folder)


def make_model(family: str, folder: Path, *, seed: int = 7) -> Path:
    """A random model whose logits differ clearly, saved as a Hugging Face directory."""
    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    if family == "gemma3":
        kinds = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
        config = Gemma3TextConfig(**common, sliding_window=24, layer_types=kinds, query_pre_attn_scalar=16)
    elif family == "llama":
        config = LlamaConfig(**common, tie_word_embeddings=False)
    else:
        config = Qwen3Config(**common, tie_word_embeddings=True)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.12)
    model.save_pretrained(folder)
    make_tokenizer(folder)
    return folder


def make_adapter(
    base: Path,
    folder: Path,
    *,
    seed: int,
    rank: int = 4,
    alpha: int = 8,
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    dtype: torch.dtype = torch.float32,
    strength: float = 0.25,
    **config: object,
) -> Path:
    """A random adapter made and saved by PEFT itself; `strength` is the spread of its numbers."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), task_type="CAUSAL_LM", **config)  # type: ignore[arg-type]
    peft = get_peft_model(model, lora)
    with torch.no_grad():
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=strength)
    peft.to(dtype)
    peft.save_pretrained(folder)
    described = json.loads((folder / "adapter_config.json").read_text())
    described["base_model_name_or_path"] = "tiny"
    (folder / "adapter_config.json").write_text(json.dumps(described))
    return folder
