"""One place in the cache for one model: its lock, its unfinished work, and the moment it becomes whole.

Called by `base_model.preparation`. Knows nothing of downloads or formats. A model is either whole under its name or
not there: it is put together in a directory beside it and renamed when every byte is on the disk.

    <root>/<name>/                   the model, with conversion.json
    <root>/<name>.lock               held while somebody prepares it; let go by the system when the process dies
    <root>/<name>.download/          what an interrupted download can go on with
    <root>/.<name>.<random>.partial/ unfinished work; nobody's when the lock is free
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turkish_ai.base_model.disk import sync_directory, sync_file
from turkish_ai.base_model.fingerprint import compute_fingerprint
from turkish_ai.base_model.progress import Progress, Words
from turkish_ai.base_model.record import ModelRecord, RecordedFile, read_record, write_record

_PARTIAL = ".partial"
_WAITING = Words(
    "Waiting for another process, which is preparing the base model",
    tr="Temel modeli hazırlayan başka bir işlem bekleniyor",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """`name` is unique to `origin`; `origin` is what `conversion.json` has to say for the directory to be used."""

    root: Path
    name: str
    origin: Mapping[str, str | int]

    @property
    def path(self) -> Path:
        return self.root / self.name

    @property
    def downloads(self) -> Path:
        return self.root / f"{self.name}.download"

    def installed(self) -> ModelRecord | None:
        """The record of a whole model; None when there is none, or when a file has another size than recorded."""
        record = read_record(self.path)
        if record is None or dict(record.origin) != dict(self.origin) or not record.describes(self.path):
            return None
        return record

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold the model's lock, after waiting for the process that holds it now. Unfinished work is swept."""
        from filelock import FileLock, Timeout  # only paid when there is something to prepare

        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_lock_path(self.root, self.name))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            progress.start(_WAITING, None)
            lock.acquire()
            progress.finish()
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty directory beside the model, gone afterwards unless it was installed."""
        directory = Path(tempfile.mkdtemp(prefix=f".{self.name}.", suffix=_PARTIAL, dir=self.root))
        directory.chmod(0o755)  # mkdtemp makes it 0o700, and a server may run as another user than the one who pulled
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def install(self, directory: Path, *, sha256: Mapping[str, str]) -> Path:
        """Turn `directory`, on the same file system, into the model. `sha256` names each of its files."""
        files = {
            name: RecordedFile(bytes=(directory / name).stat().st_size, sha256=digest)
            for name, digest in sha256.items()
        }
        for name in files:
            sync_file(directory / name)
        write_record(
            directory, ModelRecord(origin=self.origin, fingerprint=compute_fingerprint(directory), files=files)
        )
        sync_directory(directory)
        if self.path.exists():  # broken, or it would have been used
            with self.staging() as attic:
                self.path.replace(attic / self.name)
        directory.replace(self.path)
        sync_directory(self.root)
        return self.path

    def _sweep(self) -> None:
        """Remove the unfinished work of processes that died: theirs are the directories whose lock is free."""
        from filelock import FileLock, Timeout

        for directory in self.root.glob(f".*{_PARTIAL}"):
            owner = directory.name[1:].removesuffix(_PARTIAL).rpartition(".")[0]
            if owner == self.name:
                shutil.rmtree(directory, ignore_errors=True)
                continue
            try:
                with FileLock(_lock_path(self.root, owner), blocking=False):
                    shutil.rmtree(directory, ignore_errors=True)
            except Timeout:
                continue


def _lock_path(root: Path, name: str) -> str:
    return os.fspath(root / f"{name}.lock")
