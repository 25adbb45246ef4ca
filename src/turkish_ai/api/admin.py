"""Who may change what the server serves: whoever has the admin key, from wherever the call comes.

`app` asks for the key once and hands the gate to the routes that change something. Knows nothing of what they change.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from pydantic import SecretStr
from starlette.requests import Request

from turkish_ai.errors import AdminCrossOrigin, AdminKeyWrong, SettingsError

KEY_FILE = "admin_key"
_KEY_BYTES = 32
_KEY = re.compile(r"[\x21-\x7e]{16,512}")


class AdminGate:
    """Lets through who has the key. `where` says where an operator finds it."""

    def __init__(self, key: SecretStr, *, where: str) -> None:
        self._key = key.get_secret_value().encode()
        self._where = where

    def check(self, request: Request) -> None:
        """Raises AdminKeyWrong, or AdminCrossOrigin for what a page of another site sends."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Headers are decoded byte by byte (latin-1); only blanks are stripped, since str.strip also takes the bytes
        # 0x85 and 0xa0, with which some letters end in UTF-8.
        if scheme.casefold() != "bearer" or not secrets.compare_digest(given.strip(" ").encode("latin-1"), self._key):
            raise AdminKeyWrong(
                "The admin key is missing or wrong.", remedy=f"Send Authorization: Bearer <key>; it is {self._where}."
            )
        _refuse_other_sites(request)


def ensure_admin_key(data_dir: Path) -> SecretStr:
    """The key kept in `data_dir`; made, readable by its owner alone, where there is none yet.

    Raises SettingsError: it cannot be kept there, others may read it, or the file holds something else.
    """
    path = data_dir / KEY_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # two servers that start together share one key
            if not path.exists():
                _write_key(path)
            mode = stat.S_IMODE(path.stat().st_mode)
            key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(
            f"The admin key cannot be kept in {path} ({error.strerror}).",
            remedy="Set TURKISH_AI_DATA_DIR to a folder that can be written, or TURKISH_AI_ADMIN_KEY to a key.",
        ) from error
    except UnicodeDecodeError:
        key, mode = "", 0
    if mode & 0o077:
        raise SettingsError(
            f"{path} holds the admin key and others may read it (mode {mode:04o}).",
            remedy="Delete it, and the next start makes a new one.",
        )
    if not _KEY.fullmatch(key):
        raise SettingsError(f"{path} holds no admin key.", remedy="Delete it, and the next start makes a new one.")
    return SecretStr(key)


def _write_key(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)  # of a start that was killed here
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _refuse_other_sites(request: Request) -> None:
    """A browser says which site's page is calling; no page but this server's own has business here."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    try:
        site = urlsplit(origin).netloc
    except ValueError:
        site = ""
    if not site or site.casefold() != request.headers.get("host", "").casefold():
        raise AdminCrossOrigin(
            f"An admin call came from a page of {origin[:80]!r}.",
            remedy="Call from outside a browser; a proxy in between has to pass the Host header on.",
        )
