"""Look at this machine and this installation, and write down what is found.

Called by the doctor, which judges. Changes nothing: no directory is made, no model is loaded, torch is not imported
except to read adapters.
"""

import errno
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from turkish_ai.errors import BaseModelUnavailable, DataError, TurkishAiError

if TYPE_CHECKING:
    from turkish_ai.cli.adapters import Reading
    from turkish_ai.settings import ModelConfig, Settings

_MIB = 1024 * 1024
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_HEALTH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchFacts:
    """`cuda` is the CUDA version that the build brings, None for a build without."""

    version: str
    cuda: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """`closed` says why nothing can be written there; None when it can. A folder that is not there yet counts as its
    nearest parent that is."""

    path: Path
    closed: str | None
    free_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModelFacts:
    """`path` None: not prepared yet. `altered` names files whose bytes are not those that were installed."""

    source: str
    path: Path | None = None
    altered: tuple[str, ...] = ()
    error: TurkishAiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFacts:
    """`proven` is false where only the files were hashed, because there is no base model to check them against."""

    sector: str
    version: str | None
    proven: bool
    error: TurkishAiError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterFacts:
    """`version` None and no error: not built yet for the data that is there."""

    version: str | None = None
    error: TurkishAiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFacts:
    host: str
    port: int
    state: Literal["free", "ours", "taken", "unusable"]
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFacts:
    """What depends on the settings."""

    config_path: Path
    needed_memory_mib: int
    min_disk_mib: int
    cache: FolderFacts
    data: FolderFacts
    base_model: BaseModelFacts
    adapters: tuple[AdapterFacts, ...]
    router: RouterFacts
    port: PortFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`project` is None exactly when the settings cannot be read; `settings_error` then says why."""

    python: tuple[int, int, int]
    memory_mib: int
    memory_available_mib: int
    has_gpu: bool
    torch: TorchFacts | None
    settings_error: TurkishAiError | None
    project: ProjectFacts | None


def gather(settings: "Settings | TurkishAiError") -> Facts:
    """Look at everything; takes seconds, most of them for reading adapters and the base model's files."""
    import psutil

    memory = psutil.virtual_memory()
    total = min([memory.total, *_container_limits()])
    broken = settings if isinstance(settings, TurkishAiError) else None
    return Facts(
        python=sys.version_info[:3],
        memory_mib=total // _MIB,
        memory_available_mib=min(memory.available, total) // _MIB,
        has_gpu=_has_gpu(),
        torch=_torch(),
        settings_error=broken,
        project=None if isinstance(settings, TurkishAiError) else _project(settings),
    )


def _project(settings: "Settings") -> ProjectFacts:
    base_model = _base_model(settings)
    return ProjectFacts(
        config_path=settings.config_path,
        needed_memory_mib=needed_memory_mib(settings.config),
        min_disk_mib=settings.config.hardware.min_disk_mib,
        cache=look_at_folder(settings.cache_dir),
        data=look_at_folder(settings.data_dir),
        base_model=base_model,
        adapters=tuple(_adapters(settings, base_model)),
        router=_router(settings),
        port=look_at_port(settings.host, settings.port),
    )


def needed_memory_mib(config: "ModelConfig") -> int:
    """What the server takes beside its key-value memory, and that memory as it is configured."""
    return config.hardware.min_memory_mib + config.inference.embedded.kv_cache_mib


# --- the machine ----------------------------------------------------------------------------------------------------


def _container_limits() -> list[int]:
    found = []
    for file in _CGROUP_LIMITS:
        try:
            found.append(int(file.read_text()))  # "max" means none
        except (OSError, ValueError):
            continue
    return found


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia/gpus").is_dir() or shutil.which("nvidia-smi") is not None


def _torch() -> TorchFacts | None:
    """From the installed files: importing torch takes seconds."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec("torch")
    folders = spec.submodule_search_locations if spec is not None else None
    cuda = None
    for folder in folders or ():
        try:
            about = Path(folder, "version.py").read_text(encoding="utf-8")
        except OSError:
            continue
        if found := re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", about, re.MULTILINE):
            cuda = found[1]
    return TorchFacts(version=version, cuda=cuda)


def look_at_folder(path: Path) -> FolderFacts:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    closed: str | None = None
    if not there.is_dir():
        closed = f"{there} is a file"
    elif there == path:
        try:
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            closed = error.strerror or str(error)
    elif not os.access(there, os.W_OK | os.X_OK):
        closed = f"{there}: {os.strerror(errno.EACCES)}"
    return FolderFacts(path=path, closed=closed, free_mib=shutil.disk_usage(there).free // _MIB)


def look_at_port(host: str, port: int, *, patience_s: float = _HEALTH_S) -> PortFacts:
    if port == 0:
        return PortFacts(host=host, port=port, state="free")
    try:
        # As the server does it, so that the two cannot disagree.
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        dual = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        socket.create_server(address, family=family, dualstack_ipv6=dual).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return PortFacts(host=host, port=port, state="unusable", detail=error.strerror or str(error))
    else:
        return PortFacts(host=host, port=port, state="free")
    version = _our_version(host, port, patience_s=patience_s)
    if version is None:
        return PortFacts(host=host, port=port, state="taken")
    return PortFacts(host=host, port=port, state="ours", detail=version)


def _our_version(host: str, port: int, *, patience_s: float) -> str | None:
    """The version that a server of ours at that address says it has; None if it is not ours."""
    import httpx

    try:
        with httpx.Client(trust_env=False, timeout=patience_s) as client:
            body = client.get(f"{url_at(host, port)}/health").json()
    except (httpx.HTTPError, ValueError):
        return None
    if not isinstance(body, dict) or body.get("status") not in ("alive", "dead") or "version" not in body:
        return None
    return str(body["version"])


def url_at(host: str, port: int) -> str:
    """Where somebody on this machine finds a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # read, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


# --- the project ----------------------------------------------------------------------------------------------------


def _base_model(settings: "Settings") -> BaseModelFacts:
    from turkish_ai.base_model import fingerprint, installed_base_model
    from turkish_ai.base_model.disk import file_sha256
    from turkish_ai.base_model.record import read_record
    from turkish_ai.cli.base_model import base_model_source

    try:
        path = installed_base_model(base_model_source(settings), cache_dir=settings.cache_dir)
        if path is None:
            return BaseModelFacts(source=settings.base_model)
        fingerprint(path)
    except BaseModelUnavailable as error:
        return BaseModelFacts(source=settings.base_model, error=error)
    record = read_record(path)  # a directory of the person's own has none
    files = record.files if record is not None else {}
    altered = [name for name, file in files.items() if file_sha256(path / name) != file.sha256]
    return BaseModelFacts(source=settings.base_model, path=path, altered=tuple(altered))


def _adapters(settings: "Settings", base_model: BaseModelFacts) -> list[AdapterFacts]:
    from turkish_ai.cli.adapters import catalog_of, read_all
    from turkish_ai.cli.base_model import base_rules

    catalog = catalog_of(settings)
    if base_model.path is not None:
        return [_proven(reading) for reading in read_all(catalog, base_rules(settings, base_model.path))]
    return [
        AdapterFacts(
            sector=entry.sector, version=entry.ref.version if entry.ref else None, proven=False, error=entry.error
        )
        for entry in catalog.entries()
        if entry.folder is not None
    ]


def _proven(reading: "Reading") -> AdapterFacts:
    return AdapterFacts(sector=reading.sector, version=reading.version, proven=True, error=reading.error)


def _router(settings: "Settings") -> RouterFacts:
    """The newest router in the cache that was trained on the data that is there now.

    A file that cannot be read is passed over: it is an earlier version's, and a start builds its own.
    """
    from turkish_ai.routing.examples import data_files, data_sha256
    from turkish_ai.routing.model import load_model

    try:
        files = data_files(routing_dir=settings.routing_data_dir, sector_dir=settings.sector_data_dir)
        data = data_sha256(files, settings.config.sectors)
    except (DataError, OSError) as error:
        return RouterFacts(error=error if isinstance(error, TurkishAiError) else DataError(str(error)))
    for path in _newest_first((settings.cache_dir / "router").glob("*.safetensors")):
        with suppress(DataError):
            model = load_model(path)
            if model.provenance.get("data_sha256") == data:
                return RouterFacts(version=model.sha256[:12])
    return RouterFacts()


def _newest_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
