"""What a file system owes us: enough room beforehand, bytes that survive a power cut, a hash of what was written.

Called by everything in `base_model` that writes. Knows nothing of models.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from turkish_ai.errors import BaseModelUnavailable

FreeBytes = Callable[[Path], int]
"""How many bytes may still be written below an existing directory."""

READ_BYTES = 1 << 20


def free_disk_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def require_free(directory: Path, *, needed_bytes: int, free_bytes: FreeBytes) -> None:
    """
    Raises:
        BaseModelUnavailable: less than `needed_bytes` are free below `directory`; nothing was written.
    """
    free = free_bytes(directory)
    if free < needed_bytes:
        raise _disk_full(directory, free=free, needed_bytes=needed_bytes)


def is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def disk_full_is_named(directory: Path, *, needed_bytes: int, free_bytes: FreeBytes) -> Iterator[None]:
    """Turn a write that found no room, although there was room beforehand, into the same error."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise _disk_full(directory, free=free_bytes(directory), needed_bytes=needed_bytes) from error


def _disk_full(directory: Path, *, free: int, needed_bytes: int) -> BaseModelUnavailable:
    return BaseModelUnavailable(
        f"The disk is too full to prepare the base model: {free:,} bytes are free at {directory} "
        f"and {needed_bytes:,} are needed.",
        remedy="Free some room, or set TURKISH_AI_CACHE_DIR to a directory on another disk.",
        message_tr=f"Temel modeli hazırlamak için diskte yeterli yer yok: {directory} için {_dotted(free)} bayt boş, "
        f"{_dotted(needed_bytes)} bayt gerekiyor.",
        remedy_tr="Yer açın ya da TURKISH_AI_CACHE_DIR ile başka bir diskte bir klasör gösterin.",
    )


def _dotted(n: int) -> str:
    return f"{n:,}".replace(",", ".")


def write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut. Windows has no such call, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path, *, advance: Callable[[int], None] = lambda n: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()
