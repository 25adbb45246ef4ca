"""From the name of a base model to a directory that can be loaded.

Called by `turkish_ai.cli` and `app`, before anything imports torch. Knows nothing of HTTP or engines.
"""

import hashlib
import re
import shutil
from pathlib import Path

from turkish_ai.base_model.cache import CacheEntry
from turkish_ai.base_model.disk import FreeBytes, disk_full_is_named, file_sha256, free_disk_bytes, write_durably
from turkish_ai.base_model.fingerprint import fingerprint
from turkish_ai.base_model.gguf_package import PREPARATION_BYTES, GgufPackage
from turkish_ai.base_model.hub import HubDownloader, SnapshotDownloader
from turkish_ai.base_model.model_directory import check_model_directory
from turkish_ai.base_model.pip_download import PackageDownloader, PipDownloader
from turkish_ai.base_model.progress import Progress, Words
from turkish_ai.base_model.record import CONVERTER_VERSION
from turkish_ai.base_model.source import BaseModelSource, HubModel, LocalDirectory, PypiPackage, parse_source
from turkish_ai.errors import BaseModelUnavailable


def ensure_base_model(
    source: BaseModelSource,
    *,
    cache_dir: Path,
    progress: Progress,
    packages: PackageDownloader | None = None,
    snapshots: SnapshotDownloader | None = None,
    free_bytes: FreeBytes = free_disk_bytes,
) -> Path:
    """A Hugging Face directory for `AutoModelForCausalLM` and `AutoTokenizer`; prepared once, then found at once.

    Several processes may ask at the same time: one works, the others wait for it. An interruption, of any kind,
    leaves either nothing or what the next call goes on with. A local directory is checked and used where it is.

    Raises:
        BaseModelUnavailable: with what to do about it.
    """
    parsed = parse_source(source)
    if isinstance(parsed, LocalDirectory):
        check_model_directory(parsed.path)
        _require_fingerprint(source, parsed.path)
        return parsed.path
    entry = _entry(parsed, cache_dir)
    if entry.installed() is None:
        try:
            with (
                disk_full_is_named(cache_dir, needed_bytes=PREPARATION_BYTES, free_bytes=free_bytes),
                entry.locked(progress),
            ):
                if entry.installed() is not None:
                    pass  # another process did it while this one waited
                elif isinstance(parsed, PypiPackage):
                    _prepare_package(entry, parsed, packages or PipDownloader(), progress, free_bytes)
                else:
                    _prepare_snapshot(entry, parsed, snapshots or HubDownloader(), progress, free_bytes)
        except OSError as error:
            raise BaseModelUnavailable(
                f"The base model could not be written below {cache_dir}: {error}.",
                remedy="Check the directory's permissions and disk, or set TURKISH_AI_CACHE_DIR to another one.",
                message_tr=f"Temel model {cache_dir} klasörüne yazılamadı: {error}.",
                remedy_tr="Klasörün izinlerini ve diski denetleyin ya da TURKISH_AI_CACHE_DIR ile başka bir klasör "
                "gösterin.",
            ) from error
        finally:
            progress.finish()
    if isinstance(parsed, HubModel):
        _require_fingerprint(source, entry.path)
    return entry.path


def installed_base_model(source: BaseModelSource, *, cache_dir: Path) -> Path | None:
    """Where the model is if it is whole, without work or network; None where `ensure_base_model` would have to act.

    Raises:
        BaseModelUnavailable: the source itself cannot be read, or a local directory is no model.
    """
    parsed = parse_source(source)
    if isinstance(parsed, LocalDirectory):
        check_model_directory(parsed.path)
        return parsed.path
    entry = _entry(parsed, cache_dir)
    return entry.path if entry.installed() is not None else None


def _entry(parsed: PypiPackage | HubModel, cache_dir: Path) -> CacheEntry:
    root = cache_dir / "base-model"
    if isinstance(parsed, PypiPackage):
        return CacheEntry(
            root=root,
            name=f"{parsed.name}-{parsed.version}-{parsed.gguf_sha256[:12]}-v{CONVERTER_VERSION}",
            origin={
                "source": f"pypi:{parsed.name}=={parsed.version}",
                "gguf_sha256": parsed.gguf_sha256,
                "converter_version": CONVERTER_VERSION,
            },
        )
    origin = f"{parsed.hub_id}@{parsed.revision}"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "--", origin)
    return CacheEntry(
        root=root,
        name=f"hub--{readable}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}",
        origin={"source": parsed.hub_id, "revision": parsed.revision},
    )


def _prepare_package(
    entry: CacheEntry,
    package: PypiPackage,
    packages: PackageDownloader,
    progress: Progress,
    free_bytes: FreeBytes,
) -> None:
    fetched = GgufPackage(package, downloads=entry.downloads, packages=packages, free_bytes=free_bytes).fetch(progress)
    # numpy and gguf take 0.4 s to import, which a start that finds the model ready does not pay.
    from turkish_ai.base_model.gguf_convert import convert

    with entry.staging() as directory:
        sha256 = convert(fetched.path, directory, progress=progress, free_bytes=free_bytes)
        for name, content in fetched.notices.items():
            write_durably(directory / name, content)
            sha256[name] = hashlib.sha256(content).hexdigest()
        entry.install(directory, sha256=sha256)
    shutil.rmtree(entry.downloads, ignore_errors=True)


def _prepare_snapshot(
    entry: CacheEntry,
    model: HubModel,
    snapshots: SnapshotDownloader,
    progress: Progress,
    free_bytes: FreeBytes,
) -> None:
    names = snapshots.download(model, into=entry.downloads, progress=progress, free_bytes=free_bytes)
    check_model_directory(entry.downloads)
    size = sum((entry.downloads / name).stat().st_size for name in names)
    progress.start(Words("Checking the base model", tr="Temel model denetleniyor"), size)
    sha256 = {name: file_sha256(entry.downloads / name, advance=progress.advance) for name in names}
    shutil.rmtree(entry.downloads / ".cache", ignore_errors=True)  # the hub's own notes on the download
    entry.install(entry.downloads, sha256=sha256)


def _require_fingerprint(source: BaseModelSource, directory: Path) -> None:
    if source.sha256 is None or (found := fingerprint(directory)) == source.sha256:
        return
    raise BaseModelUnavailable(
        f"{directory} holds other weights than expected: its fingerprint is {found}, not {source.sha256}.",
        remedy="Correct base_model.sha256, or put the right model there.",
        message_tr=f"{directory} klasöründeki ağırlıklar beklenenler değil: parmak izi {found}, beklenen "
        f"{source.sha256}.",
        remedy_tr="base_model.sha256 değerini düzeltin ya da doğru modeli koyun.",
    )
