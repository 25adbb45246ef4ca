"""The admin key that the server makes for itself: kept, private, and never guessed at."""

import os
import stat
from pathlib import Path

import pytest

from turkish_ai.api.admin import ensure_admin_key
from turkish_ai.errors import SettingsError


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    first = ensure_admin_key(folder)
    assert len(first.get_secret_value()) >= 43  # 32 bytes
    assert ensure_admin_key(folder) == first
    assert stat.S_IMODE((folder / "admin_key").stat().st_mode) == 0o600
    assert ensure_admin_key(tmp_path / "other") != first


def test_what_a_killed_start_left_behind_is_not_taken_for_a_key(tmp_path: Path) -> None:
    (tmp_path / "admin_key.new").write_text("half")
    assert len(ensure_admin_key(tmp_path).get_secret_value()) >= 43


def test_a_key_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    ensure_admin_key(tmp_path)
    (tmp_path / "admin_key").chmod(0o644)
    with pytest.raises(SettingsError, match=r"mode 0644.*Delete it"):
        ensure_admin_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short\n", "gizli-şifre-gizli-şifre".encode(), b"two words of it here"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "admin_key"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as opened:
        opened.write(content)
    with pytest.raises(SettingsError, match="holds no admin key"):
        ensure_admin_key(tmp_path)


def test_a_data_directory_that_cannot_keep_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="TURKISH_AI_ADMIN_KEY"):
        ensure_admin_key(tmp_path / "file")
