"""Read PEFT adapters from disk, refuse what must not be served, and know which one belongs to which sector.

`AdapterCatalog` is asked by `assistant` and the admin API; `read_adapter` by an engine that brings one into memory.
An adapter is identified by the sha256 of its content. Knows nothing of batches or requests. Nothing here executes
what an adapter brings: no pickle is opened, no pattern of unbounded cost is matched.
"""

import hashlib
import json
import math
import os
import re
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turkish_ai.errors import AdapterError, AdapterNotFound, AdapterRefused
from turkish_ai.messages import AdapterRef

if TYPE_CHECKING:
    import torch

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CARD_FILE = "turkish_ai.json"
"""What `turkish-ai train` writes beside PEFT's files: the base model's fingerprint and the weights' sha256."""

MAX_CONFIG_BYTES = 1024 * 1024
MAX_WEIGHTS_BYTES = 4 * 1024 * 1024 * 1024
_KEY_PREFIX = "base_model.model."
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth", "adapter_model.ckpt", "adapter_model.pkl")

_IGNORED_ENTRIES = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)
"""They say how the adapter was made, or repeat what its tensors show; they do not change what it computes."""

_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Values of `init_lora_weights` that subtract from the base model's own weights; served on it they would be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRules:
    """What an adapter has to fit: the base model's names and fingerprint, and its linear modules.

    `shapes` maps a module's path to (inputs, outputs).
    """

    base_names: tuple[str, ...]
    base_fingerprint: str
    shapes: Mapping[str, tuple[int, int]]
    max_rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraPair:
    """One module's matrices: `a` is [rank, inputs], `b` is [outputs, rank]; the product counts `scaling` times."""

    a: "torch.Tensor"
    b: "torch.Tensor"
    scaling: float

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterWeights:
    """An adapter that was read and found servable, as its file stores it."""

    ref: AdapterRef
    modules: Mapping[str, LoraPair]
    rank: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A sector's place in the catalogue: `ref` if something servable may lie there, else `error`."""

    sector: str
    folder: str | None
    ref: AdapterRef | None
    error: AdapterError | None


class AdapterCatalog:
    """Which adapter lies in which sector's folder. Safe to call from any thread.

    Asking is cheap: a folder is read again only when its files' size, time or inode changed.
    """

    def __init__(self, root: Path, folders: Mapping[str, str | None]) -> None:
        self._root = root
        self._folders = dict(folders)
        self._known: dict[str, tuple[object, AdapterRef]] = {}
        self._refused: dict[str, tuple[object, AdapterRefused]] = {}
        self._lock = threading.Lock()

    def find(self, sector: str, *, again: bool = False) -> AdapterRef:
        """The sector's adapter as it lies on disk now; `again` forgets that the engine refused it.

        Raises:
            AdapterNotFound: the sector has none.
            AdapterRefused: its folder holds something that cannot be an adapter, or another sector's adapter, or what
                the engine refused before; files that changed since are tried again.
        """
        with self._lock:
            folder = self._folders.get(sector)
        if folder is None:
            raise AdapterNotFound(
                f"Sector {sector!r} has no adapter on this server.",
                remedy='Ask with model "auto" or "base", or train one: turkish-ai train ' + sector + ".",
                param="model",
            )
        path = resolve_inside(self._root, folder)
        if not path.is_dir():
            raise AdapterNotFound(
                f"Sector {sector!r} is configured with adapter folder {folder!r}, which is not there.",
                remedy=f"Train it (turkish-ai train {sector}) or copy a PEFT directory to adapters/{folder}.",
                param="model",
            )
        ref = self._identify(sector, path)
        with self._lock:
            if again:
                self._refused.pop(sector, None)
            state, refused = self._refused.get(sector, (None, None))
            if refused is not None and state == self._known[sector][0]:
                # A new one: an error that is raised again and again would gather tracebacks.
                raise AdapterRefused(refused.message, remedy=refused.remedy)
        return ref

    def refuse(self, ref: AdapterRef, error: AdapterRefused) -> None:
        """The engine would not take what `find` gave: `find` and `entries` say so until the files change."""
        with self._lock:
            state, known = self._known[ref.name]
            if known == ref:
                self._refused[ref.name] = (state, error)

    def candidate(self, sector: str, folder: str) -> AdapterRef:
        """What would serve `sector` if `folder` were assigned to it. Raises AdapterRefused or AdapterNotFound."""
        return self._identify(sector, self._existing(folder))

    def assign(self, sector: str, folder: str) -> AdapterRef:
        """Let `folder`, below the adapters directory, serve `sector` from now on.

        Raises AdapterRefused or AdapterNotFound, and then the sector keeps what it had.
        """
        ref = self.candidate(sector, folder)
        with self._lock:
            self._folders[sector] = folder
            self._refused.pop(sector, None)
        return ref

    def entries(self) -> list[CatalogEntry]:
        found = []
        for sector, folder in sorted(self._folders.items()):
            ref: AdapterRef | None = None
            error: AdapterError | None = None
            try:
                ref = self.find(sector)
            except AdapterError as refused:
                error = refused
            found.append(CatalogEntry(sector=sector, folder=folder, ref=ref, error=error))
        return found

    def _existing(self, folder: str) -> Path:
        path = resolve_inside(self._root, folder)
        if not path.is_dir():
            raise AdapterNotFound(
                f"There is no folder {folder[:80]!r} in the adapters directory.",
                remedy="Copy the PEFT directory there first.",
                param="folder",
            )
        return path

    def _identify(self, sector: str, path: Path) -> AdapterRef:
        state = (str(path), *(_stamp(path / name) for name in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)))
        with self._lock:
            known = self._known.get(sector)
        if known is not None and known[0] == state:
            return known[1]
        _check_sector(path, sector)
        ref = AdapterRef(name=sector, sha256=content_sha256(path), path=path, grounded=_is_grounded(path))
        with self._lock:
            self._known[sector] = (state, ref)
        return ref


def resolve_inside(root: Path, folder: str) -> Path:
    """The folder's path, if it truly lies below `root`.

    Raises AdapterRefused for an absolute path, `..`, NUL, an empty name, or a symbolic link on the way.
    """
    if not folder or "\0" in folder:
        raise AdapterRefused(f"Adapter folder {folder!r} is not a name.", remedy="Name a folder.", param="folder")
    parts = Path(folder).parts
    if Path(folder).is_absolute() or "\\" in folder or ".." in parts:
        raise AdapterRefused(
            f"Adapter folder {folder!r} leads outside the adapters directory.",
            remedy="Name a folder inside it, without '..' and not starting with '/'.",
            param="folder",
        )
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise AdapterRefused(
                f"Adapter folder {folder!r} is, or passes through, a symbolic link.",
                remedy="Put the files themselves there.",
                param="folder",
            )
    return path


def content_sha256(path: Path) -> str:
    """sha256 over both files' names and contents.

    Raises AdapterRefused: a file is missing, a link, not a regular file, or too large.
    """
    total = hashlib.sha256()
    for name, limit in ((CONFIG_FILE, MAX_CONFIG_BYTES), (WEIGHTS_FILE, MAX_WEIGHTS_BYTES)):
        total.update(f"{name}\0".encode() + _file_sha256(_plain_file(path, name, limit)))
    return total.hexdigest()


def read_adapter(ref: AdapterRef, rules: AdapterRules) -> AdapterWeights:
    """Read, check and hold the adapter's tensors. Takes milliseconds to seconds; call it off the event loop.

    Raises:
        AdapterRefused: the message names the file, what was found and what was expected.
    """
    path = ref.path
    found = content_sha256(path)
    if found != ref.sha256:
        raise AdapterRefused(
            f"{path.name}: its files changed while it was being loaded (content {found[:12]}, expected {ref.version}).",
            remedy="Try again once they are complete.",
        )
    config = _read_json(_plain_file(path, CONFIG_FILE, MAX_CONFIG_BYTES))
    _check_config(path.name, config)
    _check_card(path, rules)
    _check_base(path, config, rules)
    tensors = _read_tensors(path)
    modules = _pair_up(path.name, tensors, config, rules)
    return AdapterWeights(
        ref=ref,
        modules=modules,
        rank=max(pair.rank for pair in modules.values()),
        bytes=sum(t.numel() * t.element_size() for t in tensors.values()),
    )


def _is_grounded(path: Path) -> bool:
    """Whether our own training says so on its card; an adapter of somebody else's has none."""
    try:
        card = _read_json(_plain_file(path, CARD_FILE, MAX_CONFIG_BYTES))
    except AdapterRefused:
        return False  # none, or a broken one, which reading the adapter refuses by name
    recipe = card.get("recipe")
    return isinstance(recipe, dict) and recipe.get("grounded") is True


# --- files ----------------------------------------------------------------------------------------------------------


def _plain_file(path: Path, name: str, limit_bytes: int) -> Path:
    file = path / name
    try:
        info = os.lstat(file)
    except FileNotFoundError:
        pickles = [p for p in _PICKLES if (path / p).exists()]
        if name == WEIGHTS_FILE and pickles:
            raise AdapterRefused(
                f"{path.name}: found {pickles[0]}, expected {WEIGHTS_FILE}. A pickle is never opened: it can run code.",
                remedy="Save the adapter with safe_serialization=True.",
            ) from None
        raise AdapterRefused(
            f"{path.name}: {name} is missing.", remedy="A PEFT directory holds it; copy it whole."
        ) from None
    except (OSError, ValueError) as error:
        raise AdapterRefused(f"{path.name}: {name} cannot be read ({error}).") from error
    if not stat.S_ISREG(info.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(info.st_mode) else "not a regular file"
        raise AdapterRefused(f"{path.name}: {name} is {kind}.", remedy="Put the file itself there.")
    if info.st_size > limit_bytes:
        raise AdapterRefused(f"{path.name}: {name} has {info.st_size:,} bytes, at most {limit_bytes:,} are allowed.")
    return file


def _file_sha256(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError as error:
        raise AdapterRefused(f"{file.parent.name}: {file.name} cannot be read ({error.strerror}).") from error


def _stamp(file: Path) -> object:
    try:
        info = os.lstat(file)
    except (OSError, ValueError):
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_mode


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise AdapterRefused(f"{file.parent.name}: {file.name} is not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{file.parent.name}: {file.name} holds a {type(value).__name__}, expected an object.")
    return value


def _read_tensors(path: Path) -> dict[str, "torch.Tensor"]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        # A copy of its own: a mapped file would kill the process if it were truncated while serving.
        tensors = {name: tensor.clone() for name, tensor in load_file(path / WEIGHTS_FILE).items()}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise AdapterRefused(
            f"{path.name}: {WEIGHTS_FILE} is truncated, altered or not safetensors ({error}).",
            remedy="Copy it again from where it was made.",
        ) from error
    if not tensors:
        raise AdapterRefused(f"{path.name}: {WEIGHTS_FILE} holds no tensors.")
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise AdapterRefused(f"{path.name}: {name} is {tensor.dtype}; expected float32, float16 or bfloat16.")
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterRefused(f"{path.name}: {name} holds NaN or infinity.", remedy="Train it again.")
    return tensors


# --- checks ---------------------------------------------------------------------------------------------------------


def _check_config(folder: str, config: Mapping[str, Any]) -> None:
    """Refuse, by name, every PEFT feature that this engine does not compute."""
    if config.get("peft_type") != "LORA":
        raise AdapterRefused(f"{folder}: peft_type is {config.get('peft_type')!r}; expected 'LORA'.")
    if config.get("use_dora"):
        raise AdapterRefused(f"{folder}: DoRA (use_dora) is not supported.", remedy="Train it as plain LoRA.")
    if (bias := config.get("bias", "none")) != "none":
        raise AdapterRefused(f"{folder}: bias is {bias!r}; expected 'none'.")
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower().startswith(_CHANGES_THE_BASE):
        raise AdapterRefused(
            f"{folder}: init_lora_weights is {init!r}, which changes the base model's weights.",
            remedy="Convert it to plain LoRA when saving (path_initial_model_for_weight_conversion).",
        )
    for name, value in config.items():
        if name in _IGNORED_ENTRIES or name in ("use_dora", "bias", "init_lora_weights"):
            continue
        if value not in (None, False, [], {}, ""):
            raise AdapterRefused(f"{folder}: {name} ({value!r}) is not supported.", remedy="Train it as plain LoRA.")
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise AdapterRefused(f"{folder}: r is {rank!r}; expected a whole number from 1.")
    if not _is_finite_number(config.get("lora_alpha")):
        raise AdapterRefused(f"{folder}: lora_alpha is {config.get('lora_alpha')!r}; expected a number.")
    for pattern_entry in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(pattern_entry) or {}
        if not isinstance(patterns, dict):
            raise AdapterRefused(f"{folder}: {pattern_entry} is not an object.")
        for pattern, value in patterns.items():
            if not _is_finite_number(value):
                raise AdapterRefused(f"{folder}: {pattern_entry}[{pattern!r}] is {value!r}; expected a number.")
            _check_pattern(folder, pattern_entry, pattern)


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_pattern(folder: str, entry: str, pattern: str) -> None:
    """PEFT matches these as regular expressions; one that can take exponential time must not reach `re`."""
    repeated_group = re.search(r"\)[*+?{]", pattern)
    if len(pattern) > 256 or repeated_group or len(re.findall(r"[*+{]", pattern)) > 3:
        raise AdapterRefused(f"{folder}: {entry} has the pattern {pattern[:80]!r}, which is too costly to match.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise AdapterRefused(f"{folder}: {entry} has the broken pattern {pattern!r} ({error}).") from error


def _check_card(path: Path, rules: AdapterRules) -> None:
    """An adapter of our own training says which base it was trained on and what its weights hash to."""
    if not (path / CARD_FILE).exists():
        return
    card = _read_json(_plain_file(path, CARD_FILE, MAX_CONFIG_BYTES))
    fingerprint = card.get("base_fingerprint")
    if fingerprint is not None and fingerprint != rules.base_fingerprint:
        raise AdapterRefused(
            f"{path.name}: trained on a base model with fingerprint {str(fingerprint)[:12]}, this server runs "
            f"{rules.base_fingerprint[:12]}.",
            remedy="Train it again on this base model.",
        )
    expected = card.get("weights_sha256")
    if expected is not None and _file_sha256(path / WEIGHTS_FILE).hex() != expected:
        raise AdapterRefused(
            f"{path.name}: {WEIGHTS_FILE} was altered: its sha256 is not the one in {CARD_FILE}.",
            remedy="Copy it again from where it was made.",
        )


def _check_sector(path: Path, sector: str) -> None:
    """An adapter of our own training says for which sector; under another's name it would answer something else."""
    if not (path / CARD_FILE).exists():
        return
    trained = _read_json(_plain_file(path, CARD_FILE, MAX_CONFIG_BYTES)).get("sector")
    if trained is not None and trained != sector:
        raise AdapterRefused(
            f"{path.name}: trained for sector {str(trained)[:80]!r}; it cannot serve {sector!r}.",
            remedy=f"Name the folder of an adapter that was trained for {sector!r}.",
            param="folder",
        )


def _check_base(path: Path, config: Mapping[str, Any], rules: AdapterRules) -> None:
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise AdapterRefused(
            f"{path.name}: base_model_name_or_path is {named!r}; expected one of {', '.join(rules.base_names)}."
        )
    if _short_name(named) not in {_short_name(name) for name in rules.base_names}:
        raise AdapterRefused(
            f"{path.name}: made for base model {named!r}; this server runs {rules.base_names[0]!r}.",
            remedy="Train it on this base model; if it is the same model under another name, add the name to "
            "base_model.aliases in configs/model_config.json.",
        )


def _short_name(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].casefold()


def _pair_up(
    folder: str, tensors: Mapping[str, "torch.Tensor"], config: Mapping[str, Any], rules: AdapterRules
) -> dict[str, LoraPair]:
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = re.fullmatch(r"(.+)\.lora_([AB])\.weight", key.removeprefix(_KEY_PREFIX))
        if not key.startswith(_KEY_PREFIX) or match is None:
            raise AdapterRefused(
                f"{folder}: tensor {key!r} is not supported; expected {_KEY_PREFIX}<module>.lora_A.weight or lora_B."
            )
        halves.setdefault(match[1], {})[match[2]] = tensor
    modules: dict[str, LoraPair] = {}
    for module, pair in halves.items():
        shape = rules.shapes.get(module)
        if shape is None:
            raise AdapterRefused(f"{folder}: module {module!r} is not a linear layer of {rules.base_names[0]}.")
        if set(pair) != {"A", "B"}:
            missing = "B" if "A" in pair else "A"
            raise AdapterRefused(f"{folder}: module {module!r} has no lora_{missing}.")
        rank = int(_by_pattern(config.get("rank_pattern"), module, config["r"]))
        if not 1 <= rank <= rules.max_rank:
            raise AdapterRefused(
                f"{folder}: module {module!r} has rank {rank}; this server takes 1 to {rules.max_rank}.",
                remedy="Raise lora.max_rank in configs/model_config.json, or train with a lower rank.",
            )
        inputs, outputs = shape
        for half, expected in (("A", (rank, inputs)), ("B", (outputs, rank))):
            if tuple(pair[half].shape) != expected:
                raise AdapterRefused(
                    f"{folder}: module {module!r}: lora_{half} has shape {tuple(pair[half].shape)}; "
                    f"expected {expected}."
                )
        alpha = float(_by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"]))
        scaling = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
        modules[module] = LoraPair(a=pair["A"].contiguous(), b=pair["B"].contiguous(), scaling=scaling)
    _check_targets(folder, config, modules)
    return modules


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """PEFT's rule (peft.utils.other.get_pattern_key): the first pattern that matches the end of the module's path."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _check_targets(folder: str, config: Mapping[str, Any], modules: Mapping[str, LoraPair]) -> None:
    """A module that the adapter says it changes and that has no tensors was lost on the way."""
    targets = config.get("target_modules")
    if not isinstance(targets, list):
        return
    for target in targets:
        if not any(module == target or module.endswith(f".{target}") for module in modules):
            raise AdapterRefused(
                f"{folder}: target_modules names {target!r}, and {WEIGHTS_FILE} has no tensors for it.",
                remedy="Copy the adapter again from where it was made.",
            )
