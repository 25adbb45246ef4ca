"""Write a file as a whole or not at all.

Used for what is kept in the cache: the router and the question banks. Knows nothing of what is written.
"""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """A crash leaves a temporary file beside `path`, never half of it. Raises OSError; then `path` is as it was."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
