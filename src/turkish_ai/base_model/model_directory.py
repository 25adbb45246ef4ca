"""Check that a directory holds a model that may be loaded: safetensors weights, a configuration, a tokenizer.

Called for directories that people name and for what the hub sent. Reads names and the shards' index, no weights.
"""

import json
from pathlib import Path

from turkish_ai.errors import BaseModelUnavailable

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def check_model_directory(directory: Path) -> None:
    """
    Raises:
        BaseModelUnavailable: something is missing, or the weights are pickles, which run code when they are loaded.
    """
    if not (directory / "config.json").is_file():
        raise BaseModelUnavailable(
            f"{directory} has no config.json, so it is not a Hugging Face model directory.",
            remedy="Correct TURKISH_AI_BASE_MODEL or base_model.source.",
            message_tr=f"{directory} içinde config.json yok; bir Hugging Face model klasörü değil.",
            remedy_tr="TURKISH_AI_BASE_MODEL değişkenini ya da base_model.source ayarını düzeltin.",
        )
    weight_files(directory)
    if not any((directory / name).is_file() for name in _TOKENIZERS):
        raise BaseModelUnavailable(
            f"{directory} has no tokenizer ({', '.join(_TOKENIZERS)}).",
            remedy="Save the tokenizer beside the model: tokenizer.save_pretrained(directory).",
            message_tr=f"{directory} içinde tokenizer yok ({', '.join(_TOKENIZERS)}).",
            remedy_tr="Tokenizer'ı modelin yanına kaydedin: tokenizer.save_pretrained(klasör).",
        )


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that transformers would load, by name.

    Raises:
        BaseModelUnavailable: there are none, or the index names one that is not there.
    """
    index = directory / _INDEX
    if index.is_file():
        shards = _shards(index)
        if missing := [shard for shard in shards if not (directory / shard).is_file()]:
            raise BaseModelUnavailable(
                f"{directory} lacks {', '.join(missing)}, which {_INDEX} names.",
                remedy="Download or copy the model again.",
                message_tr=f"{directory} içinde {_INDEX} dosyasının saydığı {', '.join(missing)} eksik.",
                remedy_tr="Modeli yeniden indirin ya da kopyalayın.",
            )
        return [directory / shard for shard in shards]
    if (directory / _SINGLE).is_file():
        return [directory / _SINGLE]
    if pickles := sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLES):
        raise BaseModelUnavailable(
            f"{directory} has its weights in {', '.join(pickles)}. Pickled weights run code when they are loaded, so "
            "they are refused.",
            remedy=f"Save the model as {_SINGLE}: model.save_pretrained(directory).",
            message_tr=f"{directory} klasöründeki ağırlıklar pickle dosyası ({', '.join(pickles)}). Bunlar yüklenirken "
            "kod çalıştırabildiği için kabul edilmez.",
            remedy_tr=f"Modeli {_SINGLE} olarak kaydedin: model.save_pretrained(klasör).",
        )
    raise BaseModelUnavailable(
        f"{directory} has neither {_SINGLE} nor {_INDEX}.",
        remedy="Save the model there: model.save_pretrained(directory).",
        message_tr=f"{directory} içinde ne {_SINGLE} ne de {_INDEX} var.",
        remedy_tr="Modeli oraya kaydedin: model.save_pretrained(klasör).",
    )


def _shards(index: Path) -> list[str]:
    try:
        shards = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        names_files = bool(shards) and all(Path(shard).name == shard for shard in shards)
    except (ValueError, KeyError, TypeError, AttributeError):
        names_files = False
    if not names_files:
        raise BaseModelUnavailable(
            f"{index} does not list the files of the weights beside it.", remedy="Download or copy the model again."
        )
    return shards
