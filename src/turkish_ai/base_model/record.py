"""`conversion.json`: what a directory of the cache holds and where it comes from, written when all else is there.

Called by `base_model.cache` and `base_model.fingerprint`. Knows nothing of models: files, their sizes and hashes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turkish_ai.base_model.disk import write_durably

CONVERTER_VERSION = 1
"""Goes up when `gguf_convert`, `gemma3` or `tokenizer_build` would write other bytes from the same GGUF file.

It is part of the directory's name in the cache, so an older release keeps its own. A test holds the bytes against it.
"""

RECORD_FILE = "conversion.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFile:
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """`origin` is everything that decides the contents; two records of one origin describe the same model."""

    origin: Mapping[str, str | int]
    fingerprint: str
    files: Mapping[str, RecordedFile]

    def describes(self, directory: Path) -> bool:
        """Every file is there with its size. The hashes are not computed: this runs at every start."""
        try:
            return bool(self.files) and all(
                (directory / name).stat().st_size == file.bytes for name, file in self.files.items()
            )
        except OSError:
            return False


def write_record(directory: Path, record: ModelRecord) -> None:
    document = {
        "origin": dict(record.origin),
        "fingerprint": record.fingerprint,
        "files": {name: asdict(file) for name, file in sorted(record.files.items())},
    }
    write_durably(directory / RECORD_FILE, (json.dumps(document, indent=2) + "\n").encode())


def read_record(directory: Path) -> ModelRecord | None:
    """None when there is none, or none that can be read: both mean that the directory is not to be trusted."""
    try:
        document: Any = json.loads((directory / RECORD_FILE).read_bytes())
        return ModelRecord(
            origin=dict(document["origin"]),
            fingerprint=str(document["fingerprint"]),
            files={name: RecordedFile(**file) for name, file in document["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
