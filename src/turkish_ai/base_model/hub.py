"""Fetch a model's snapshot from the Hugging Face hub: safetensors, JSON and tokenizer files, never a pickle.

Called by `base_model.preparation`. Knows nothing of the cache. The hub's own settings (HF_TOKEN, HF_ENDPOINT,
HF_HUB_OFFLINE) are read by its library.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from turkish_ai.base_model.disk import FreeBytes, is_disk_full, require_free
from turkish_ai.base_model.pip_download import directory_bytes
from turkish_ai.base_model.progress import Progress, Words
from turkish_ai.base_model.source import LOCAL_DIRECTORY_REMEDY, LOCAL_DIRECTORY_REMEDY_TR, HubModel
from turkish_ai.errors import BaseModelUnavailable

_WANTED = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*"]
# Subdirectories hold other formats of the same model, `consolidated` its weights a second time.
_UNWANTED = ["*/*", "consolidated*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl"]
_POLL_S = 0.5


class SnapshotDownloader(Protocol):
    def download(self, model: HubModel, *, into: Path, progress: Progress, free_bytes: FreeBytes) -> list[str]:
        """Put the model's files into `into` and return their names. Going on after an interruption is cheap.

        Raises:
            BaseModelUnavailable: it could not be fetched; what came so far stays in `into`.
        """


class HubDownloader:
    """`endpoint` is the hub's address; None leaves it to the hub's library."""

    def __init__(self, *, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def download(self, model: HubModel, *, into: Path, progress: Progress, free_bytes: FreeBytes) -> list[str]:
        import httpx2  # the hub library's client, whose errors it lets through
        from huggingface_hub import errors, snapshot_download

        def call(revision: str, *, dry_run: bool) -> Any:
            return snapshot_download(
                model.hub_id,
                revision=revision,
                local_dir=into,
                cache_dir=into / ".cache",  # its notes on revisions; not in the home directory, which may be read-only
                endpoint=self._endpoint,
                allow_patterns=_WANTED,
                ignore_patterns=_UNWANTED,
                tqdm_class=_silent_bars(),
                dry_run=dry_run,
            )

        into.mkdir(parents=True, exist_ok=True)
        try:
            files = call(model.revision, dry_run=True)
            sizes = {file.filename: file.file_size or 0 for file in files}
            if not any(name.endswith(".safetensors") for name in sizes):
                raise BaseModelUnavailable(
                    f"{model.hub_id} at {model.revision} has no safetensors weights. Pickled ones run code when they "
                    "are loaded, so they are never downloaded.",
                    remedy="Name a model or a revision with safetensors weights.",
                )
            needed_bytes = sum(sizes[file.filename] for file in files if file.will_download)
            require_free(into, needed_bytes=needed_bytes, free_bytes=free_bytes)
            progress.start(Words(f"Downloading {model.hub_id}", tr=f"{model.hub_id} indiriliyor"), sum(sizes.values()))
            with _growth_reported(into, progress):
                # The commit, not the branch: a push between the two calls must not mix two models.
                call(files[0].commit_hash, dry_run=False)
        except errors.GatedRepoError as error:
            raise BaseModelUnavailable(
                f"{model.hub_id} asks its users to accept terms first.",
                remedy="Accept them on the model's page, and set HF_TOKEN to a token of that account.",
                message_tr=f"{model.hub_id} önce koşullarının kabul edilmesini istiyor.",
                remedy_tr="Modelin sayfasında kabul edin ve HF_TOKEN değişkenine o hesabın anahtarını verin.",
            ) from error
        except (OSError, ValueError, httpx2.HTTPError) as error:  # the hub's errors, and those of the network below it
            if is_disk_full(error):
                raise
            raise BaseModelUnavailable(
                f"{model.hub_id} at {model.revision} could not be downloaded from the hub: {error}",
                remedy=f"Check the name, the revision, the network and HF_TOKEN. {LOCAL_DIRECTORY_REMEDY}",
                message_tr=f"{model.hub_id} ({model.revision}) indirilemedi: {error}",
                remedy_tr="Adı, sürümü (revision), ağ bağlantısını ve HF_TOKEN değişkenini denetleyin. "
                f"{LOCAL_DIRECTORY_REMEDY_TR}",
            ) from error
        finally:
            progress.finish()
        # The hub's library is content with an incomplete directory when the network is gone.
        if lost := [name for name, size in sizes.items() if not _has_size(into / name, size)]:
            raise BaseModelUnavailable(
                f"{model.hub_id}: {', '.join(lost)} did not arrive whole.", remedy="Start again; the rest is kept."
            )
        return sorted(sizes)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _silent_bars() -> type[Any]:
    """The hub's progress bars without their output: ours stands in one place for all downloads."""
    from huggingface_hub.utils.tqdm import tqdm

    class SilentBars(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"disable": True})  # type: ignore[no-untyped-call]  # tqdm has no types

    return SilentBars


@contextmanager
def _growth_reported(directory: Path, progress: Progress) -> Iterator[None]:
    """Advance `progress` by what `directory` grows, from a thread, for as long as the body runs."""
    over = threading.Event()

    def watch() -> None:
        seen = 0
        while not over.wait(_POLL_S):
            now = directory_bytes(directory)
            if now > seen:
                progress.advance(now - seen)
                seen = now

    watcher = threading.Thread(target=watch, name="base-model-download", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
