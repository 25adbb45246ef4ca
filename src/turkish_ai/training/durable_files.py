"""Put a file or a folder in its place as one whole, or not at all.

Called by `training.checkpoint` and `training.adapter_folder`. Knows nothing of what is in them.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from turkish_ai.base_model.disk import sync_directory, sync_file

_PARTIAL = ".partial"


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """`write` fills a file beside `path`, which then takes its place; a failure leaves what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _PARTIAL)
    try:
        write(partial)
        sync_file(partial)
        partial.replace(path)
        sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` when the block ends well; else it is removed.

    What a killed process left behind is swept first: no two processes write the same folder at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*{_PARTIAL}"):
        shutil.rmtree(left)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent))
    try:
        staging.chmod(0o755)  # mkdtemp makes it 0o700, and a server may run as another user than the one who trained
        yield staging
        for file in staging.iterdir():
            sync_file(file)
        sync_directory(staging)
        if path.exists():
            attic = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent))
            path.replace(attic / "old")
            staging.replace(path)
            shutil.rmtree(attic)
        else:
            staging.replace(path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_optional(path: Path) -> bytes | None:
    """None where there is no such file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
