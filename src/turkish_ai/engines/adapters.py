"""Read PEFT adapters from disk, refuse what must not be served, and know which one belongs to which sector.

`AdapterCatalog` is asked by `assistant` and the admin API; `read_adapter` by an engine that brings one into memory.
An adapter is identified by the sha256 of its content, and the bytes that were hashed are the bytes that are served:
each file is opened once. Knows nothing of batches or requests, nor of what a config's entries mean (`peft_config`).
Nothing here executes what an adapter brings: no pickle is opened, no pattern of unbounded cost is matched.
"""

import errno
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from turkish_ai.engines.peft_config import PeftConfig
from turkish_ai.errors import AdapterError, AdapterNotFound, AdapterRefused
from turkish_ai.messages import AdapterRef

if TYPE_CHECKING:
    import torch

log = structlog.get_logger(__name__)

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
CARD_FILE = "turkish_ai.json"
"""What `turkish-ai train` writes beside PEFT's files: the base model's fingerprint and the weights' sha256."""

MAX_CONFIG_BYTES = 1024 * 1024
MAX_WEIGHTS_BYTES = 4 * 1024 * 1024 * 1024
_FILES = ((CONFIG_FILE, MAX_CONFIG_BYTES), (WEIGHTS_FILE, MAX_WEIGHTS_BYTES))
"""What an adapter's identity is made of, in this order."""
_KEY_PREFIX = "base_model.model."
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth", "adapter_model.ckpt", "adapter_model.pkl")


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
    digests = []
    for name, limit in _FILES:
        with _opened(path, name, limit) as file, _refused_if_unreadable(path, name):
            digests.append(hashlib.file_digest(file, "sha256").digest())
    return _content_sha256(*digests)


def read_adapter(ref: AdapterRef, rules: AdapterRules) -> AdapterWeights:
    """Read, check and hold the adapter's tensors. Takes milliseconds to seconds; call it off the event loop.

    Raises:
        AdapterRefused: the message names the file, what was found and what was expected.
    """
    try:
        return _read_adapter(ref, rules)
    except AdapterRefused:
        raise
    except Exception as error:  # files from elsewhere: whatever they provoke is theirs alone, the others go on serving
        log.exception("an adapter could not be read", adapter=ref.name)
        raise AdapterRefused(f"{ref.path.name}: it cannot be read ({type(error).__name__}: {error}).") from error


def _read_adapter(ref: AdapterRef, rules: AdapterRules) -> AdapterWeights:
    folder = ref.path.name
    config_bytes, weights_bytes = (_read(ref.path, name, limit) for name, limit in _FILES)
    weights_digest = hashlib.sha256(weights_bytes)
    found = _content_sha256(hashlib.sha256(config_bytes).digest(), weights_digest.digest())
    if found != ref.sha256:
        raise AdapterRefused(
            f"{folder}: its files changed while it was being loaded (content {found[:12]}, expected {ref.version}).",
            remedy="Try again once they are complete.",
        )
    config = PeftConfig(folder, _parse_json(folder, CONFIG_FILE, config_bytes))
    of_this_base = _check_card(ref.path, weights_digest.hexdigest(), rules)
    if not of_this_base:
        _check_base(folder, config.base_model, rules)
    tensors = _parse_tensors(folder, weights_bytes)
    modules = _pair_up(folder, tensors, config, rules)
    return AdapterWeights(
        ref=ref,
        modules=modules,
        rank=max(pair.rank for pair in modules.values()),
        bytes=sum(t.numel() * t.element_size() for t in tensors.values()),
    )


def _is_grounded(path: Path) -> bool:
    """Whether our own training says so on its card; an adapter of somebody else's has none."""
    try:
        recipe = (_read_card(path) or {}).get("recipe")
    except AdapterRefused:
        return False  # reading the adapter refuses it by name
    return isinstance(recipe, dict) and recipe.get("grounded") is True


# --- files ----------------------------------------------------------------------------------------------------------


def _content_sha256(config: bytes, weights: bytes) -> str:
    total = hashlib.sha256()
    for (name, _), digest in zip(_FILES, (config, weights), strict=True):
        total.update(f"{name}\0".encode() + digest)
    return total.hexdigest()


def _opened(path: Path, name: str, limit_bytes: int) -> BufferedReader:
    """The file itself: what is asked about it and read from it afterwards is one and the same file."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise AdapterRefused(
                f"{path.name}: {name} is a symbolic link.", remedy="Put the file itself there."
            ) from error
        raise AdapterRefused(f"{path.name}: {name} cannot be read ({error}).") from error
    file = os.fdopen(descriptor, "rb")
    info = os.fstat(descriptor)
    refusal = None
    if not stat.S_ISREG(info.st_mode):
        refusal = AdapterRefused(f"{path.name}: {name} is not a regular file.", remedy="Put the file itself there.")
    elif info.st_size > limit_bytes:
        refusal = AdapterRefused(
            f"{path.name}: {name} has {info.st_size:,} bytes, at most {limit_bytes:,} are allowed."
        )
    if refusal is not None:
        file.close()
        raise refusal
    return file


@contextmanager
def _refused_if_unreadable(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AdapterRefused(f"{path.name}: {name} cannot be read ({error.strerror}).") from error


def _read(path: Path, name: str, limit_bytes: int) -> bytes:
    """All bytes, as they were at one time or another: a mapped file would kill the process if it were truncated."""
    with _opened(path, name, limit_bytes) as file, _refused_if_unreadable(path, name):
        return file.read(min(os.fstat(file.fileno()).st_size, limit_bytes))


def _stamp(file: Path) -> object:
    """Changes whenever the file may have changed; the change time cannot be set back as the modification time can."""
    try:
        info = os.lstat(file)
    except (OSError, ValueError):
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode


def _parse_json(folder: str, name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{folder}: {name} is not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{folder}: {name} holds a {type(value).__name__}, expected an object.")
    return value


def _parse_tensors(folder: str, content: bytes) -> dict[str, "torch.Tensor"]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise AdapterRefused(
            f"{folder}: {WEIGHTS_FILE} is truncated, altered or not safetensors ({error}).",
            remedy="Copy it again from where it was made.",
        ) from error
    if not tensors:
        raise AdapterRefused(f"{folder}: {WEIGHTS_FILE} holds no tensors.")
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise AdapterRefused(f"{folder}: {name} is {tensor.dtype}; expected float32, float16 or bfloat16.")
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterRefused(f"{folder}: {name} holds NaN or infinity.", remedy="Train it again.")
    return tensors


# --- checks ---------------------------------------------------------------------------------------------------------


def _read_card(path: Path) -> dict[str, Any] | None:
    """What our own training wrote about the adapter; None: it is somebody else's. Raises AdapterRefused: broken."""
    if not os.path.lexists(path / CARD_FILE):
        return None
    return _parse_json(path.name, CARD_FILE, _read(path, CARD_FILE, MAX_CONFIG_BYTES))


def _check_card(path: Path, weights_sha256: str, rules: AdapterRules) -> bool:
    """An adapter of our own training says which base it was trained on and what its weights hash to.

    True if its card proves that it was trained on this very base model.
    """
    card = _read_card(path)
    if card is None:
        return False
    fingerprint = card.get("base_fingerprint")
    if fingerprint is not None and fingerprint != rules.base_fingerprint:
        raise AdapterRefused(
            f"{path.name}: trained on a base model with fingerprint {str(fingerprint)[:12]}, this server runs "
            f"{rules.base_fingerprint[:12]}.",
            remedy="Train it again on this base model.",
        )
    expected = card.get("weights_sha256")
    if expected is not None and expected != weights_sha256:
        raise AdapterRefused(
            f"{path.name}: {WEIGHTS_FILE} was altered: its sha256 is not the one in {CARD_FILE}.",
            remedy="Copy it again from where it was made.",
        )
    return fingerprint is not None and expected is not None


def _check_sector(path: Path, sector: str) -> None:
    """An adapter of our own training says for which sector; under another's name it would answer something else."""
    trained = (_read_card(path) or {}).get("sector")
    if trained is not None and trained != sector:
        raise AdapterRefused(
            f"{path.name}: trained for sector {str(trained)[:80]!r}; it cannot serve {sector!r}.",
            remedy=f"Name the folder of an adapter that was trained for {sector!r}.",
            param="folder",
        )


def _check_base(folder: str, named: object, rules: AdapterRules) -> None:
    """Another publisher's model of the same name is another model; only a name without a publisher says no more."""
    if not isinstance(named, str) or not named:
        raise AdapterRefused(
            f"{folder}: base_model_name_or_path is {named!r}; expected one of {', '.join(rules.base_names)}."
        )
    ours = {name.casefold() for name in rules.base_names}
    ours |= {name.rstrip("/").rsplit("/", 1)[-1] for name in ours}
    if named.rstrip("/").casefold() not in ours:
        raise AdapterRefused(
            f"{folder}: made for base model {named!r}; this server runs {rules.base_names[0]!r}.",
            remedy="Train it on this base model; if it is the same model under another name, add the name to "
            "base_model.aliases in configs/model_config.json.",
        )


def _pair_up(
    folder: str, tensors: Mapping[str, "torch.Tensor"], config: PeftConfig, rules: AdapterRules
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
        rank = config.rank(module)
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
        modules[module] = LoraPair(
            a=pair["A"].contiguous(), b=pair["B"].contiguous(), scaling=config.scaling(module, rank)
        )
    _check_targets(folder, config.targets(rules.shapes), modules.keys())
    return modules


def _check_targets(folder: str, chosen: AbstractSet[str], found: AbstractSet[str]) -> None:
    """PEFT computes the config's choice of modules: tensors beyond it it never uses, and missing ones were lost."""
    if unused := sorted(found - chosen):
        raise AdapterRefused(
            f"{folder}: {WEIGHTS_FILE} has tensors for {unused[0]!r} ({len(unused)} such module(s)), which "
            "target_modules, exclude_modules and layers_to_transform do not choose.",
            remedy="Save the adapter again with PEFT, so that both files say the same.",
        )
    if lost := sorted(chosen - found):
        raise AdapterRefused(
            f"{folder}: the config chooses module {lost[0]!r} ({len(lost)} such module(s)), and {WEIGHTS_FILE} has no "
            "tensors for it.",
            remedy="Copy the adapter again from where it was made.",
        )
