"""The real thing: the default base model, the trained adapters, and a server in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from turkish_ai.base_model import BaseModelSource, ensure_base_model, progress_for
from turkish_ai.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 180


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings()


@pytest.fixture(scope="session")
def base_model(settings: Settings) -> Path:
    """Fetched and converted on the first run, found in the cache afterwards."""
    source = BaseModelSource(source=settings.base_model, sha256=settings.base_model_sha256)
    return ensure_base_model(source, cache_dir=settings.cache_dir, progress=progress_for(sys.stderr))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    process: "subprocess.Popen[str]"
    ready_after_s: float


@pytest.fixture(scope="session")
def server(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`turkish-ai serve` as a user starts it, on a free port."""
    log = tmp_path_factory.mktemp("server") / "log"
    environment = os.environ | {"TURKISH_AI_DATA_DIR": str(tmp_path_factory.mktemp("data")), "TURKISH_AI_PORT": "0"}
    started = time.monotonic()
    with log.open("w") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "turkish_ai.cli", "serve"],
            cwd=ROOT,
            env=environment,
            stdout=opened,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        url = ""
        while time.monotonic() - started < _START_LIMIT_S:
            text = log.read_text()
            if found := re.search(r"ready at (http://127\.0\.0\.1:\d+)", text):
                url = found[1]
                break
            assert process.poll() is None, text
            time.sleep(0.1)
        assert url, log.read_text()
        yield Server(url=url, process=process, ready_after_s=time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
