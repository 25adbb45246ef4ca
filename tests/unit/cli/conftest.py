"""A command line to run: in this process, or as a user would, in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.chat_server import ChatServer, serving

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here, so that the router is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    """Of a fresh user with an English locale: nothing of the caller's own settings comes through."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("TURKISH_AI_") and k not in ("LC_ALL", "LC_MESSAGES", "LANGUAGE")
    }
    return kept | {
        "LANG": "en_US.UTF-8",
        "PYTHONUTF8": "1",
        "COLUMNS": "100",
        "TURKISH_AI_CACHE_DIR": str(cache),
        "TURKISH_AI_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.fixture
def isolated(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for commands that run in this process."""
    for name in [n for n in os.environ if n.startswith("TURKISH_AI_") or n in ("LC_ALL", "LC_MESSAGES", "LANGUAGE")]:
        monkeypatch.delenv(name)
    for name in ("LANG", "COLUMNS", "TURKISH_AI_CACHE_DIR", "TURKISH_AI_DATA_DIR"):
        monkeypatch.setenv(name, environment[name])


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run `turkish-ai` with these arguments in a process of its own; `env` adds to the environment."""

    def run_it(
        *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "turkish_ai.cli", *arguments],
            cwd=ROOT,
            env=environment | (env or {}),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_it


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    with serving(ChatServer()) as server:
        yield server
