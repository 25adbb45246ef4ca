"""`make` sets up once, goes on after an interruption, and works wherever the folder lies.

A Python that only writes down what it is asked to do stands in for the real one, so nothing is installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FAKE_PYTHON = """#!/bin/sh
echo "$*" >> "$LOG"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install"*)
    # A Python that says itself that it is there: a shell between two commands can lose a SIGINT.
    [ ! -e "$LOG.pip-hangs" ] || exec "$REAL_PYTHON" -c '
import os, pathlib, time
pathlib.Path(os.environ["LOG"] + ".hanging").touch()
for _ in range(6000):
    if pathlib.Path(os.environ["LOG"] + ".pip-goes-on").exists(): break
    time.sleep(0.01)'
    [ ! -e "$LOG.pip-fails" ] ;;
  "-m turkish_ai.cli setup") [ ! -e "$LOG.download-fails" ] ;;
  *fcntl*) exec "$REAL_PYTHON" "$@" ;;
  *importlib.metadata*) [ ! -e "$LOG.half-a-package" ] ;;
esac
"""


class Checkout:
    """A folder with the Makefile in it, in a path that no quoting forgot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "bir klasör 'ü' $x"
        self.folder.mkdir()
        shutil.copy(ROOT / "Makefile", self.folder)
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        self.log = folder / "log"
        self._python = folder / "python"
        self._python.write_text(FAKE_PYTHON)
        self._python.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "HOST", "PORT")}
        return kept | {"LOG": str(self.log), "PYTHON": str(self._python), "REAL_PYTHON": sys.executable}

    def make(self, *arguments: str, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["make", *arguments],
            cwd=cwd or self.folder,
            env=self.environment | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def happen(self, what: str, *, yes: bool = True) -> None:
        flag = self.log.with_name(f"log.{what}")
        if yes:
            flag.touch()
        else:
            flag.unlink()

    def done(self) -> list[str]:
        """What Python was asked to do since the last time, in short."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        self.log.unlink()
        kinds = {
            "-m venv": "venv",
            "-m pip install --prefer-binary torch==": "torch",
            "-m pip install --prefer-binary -e": "packages",
            "-m turkish_ai.cli setup": "model",
        }
        found = [kind for line in lines for start, kind in kinds.items() if line.startswith(start)]
        return found + [line for line in lines if line.startswith("-m turkish_ai.cli") and line[-5:] != "setup"]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_time_everything_is_set_up_with_torch_first_and_the_second_time_nothing(checkout: Checkout) -> None:
    first = checkout.make("setup")
    assert first.returncode == 0, first.stderr
    assert checkout.done() == ["venv", "torch", "packages", "model"]
    assert checkout.make("setup").returncode == 0
    assert checkout.done() == []


def test_serving_sets_up_first_and_passes_the_address_on(checkout: Checkout) -> None:
    assert checkout.make("serve", "HOST=0.0.0.0", "PORT=9000").returncode == 0
    assert checkout.done() == [
        "venv",
        "torch",
        "packages",
        "model",
        "-m turkish_ai.cli serve --host 0.0.0.0 --port 9000",
    ]
    assert checkout.make("serve").returncode == 0
    assert checkout.done() == ["-m turkish_ai.cli serve"]


def test_a_host_and_port_of_the_environment_mean_something_else(checkout: Checkout) -> None:
    checkout.make("setup")
    checkout.done()
    assert checkout.make("serve", HOST="my-laptop", PORT="3000").returncode == 0
    assert checkout.done() == ["-m turkish_ai.cli serve"]


def test_a_second_start_costs_less_than_half_a_second(checkout: Checkout) -> None:
    checkout.make("setup")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        checkout.make("setup")
        times.append(time.perf_counter() - started)
    assert min(times) < 0.5


def test_new_requirements_are_installed_into_the_environment_that_is_there(checkout: Checkout) -> None:
    checkout.make("setup")
    checkout.done()
    an_hour_ago = time.time() - 3600
    os.utime(checkout.folder / ".setup.stamp", (an_hour_ago, an_hour_ago))
    checkout.make("setup")
    assert checkout.done() == ["torch", "packages", "model"]


def test_after_a_failed_installation_what_is_whole_is_kept(checkout: Checkout) -> None:
    checkout.happen("pip-fails")
    assert checkout.make("serve").returncode != 0
    assert checkout.done() == ["venv", "torch"]
    checkout.happen("pip-fails", yes=False)
    assert checkout.make("setup").returncode == 0
    assert checkout.done() == ["torch", "packages", "model"]


def test_after_half_a_package_the_environment_is_made_again(checkout: Checkout) -> None:
    checkout.happen("pip-fails")
    checkout.make("setup")
    checkout.done()
    checkout.happen("pip-fails", yes=False)
    checkout.happen("half-a-package")
    shown = checkout.make("setup")
    assert "half a package" in shown.stdout
    assert checkout.done() == ["venv", "torch", "packages", "model"]


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_in_the_middle_of_pip_is_remembered(checkout: Checkout, blow: signal.Signals) -> None:
    checkout.happen("pip-hangs")
    running = subprocess.Popen(
        ["make", "setup"],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A test run that was started in the background ignores SIGINT, and what it starts would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until(checkout.log.with_name("log.hanging").exists)
    os.killpg(running.pid, blow)
    assert running.wait(timeout=30) != 0
    checkout.happen("pip-hangs", yes=False)
    assert (checkout.folder / ".setup.stamp").read_text() == "installing\n"
    checkout.happen("half-a-package")
    assert checkout.make("setup").returncode == 0
    assert checkout.done() == ["venv", "torch", "venv", "torch", "packages", "model"]


def test_two_that_set_up_at_once_install_once(checkout: Checkout) -> None:
    checkout.happen("pip-hangs")
    log = checkout.log
    first = subprocess.Popen(
        ["make", "setup"], cwd=checkout.folder, env=checkout.environment, stdout=subprocess.DEVNULL
    )
    until(log.with_name("log.hanging").exists)
    checkout.happen("pip-hangs", yes=False)
    second = subprocess.Popen(
        ["make", "serve"], cwd=checkout.folder, env=checkout.environment, stdout=subprocess.PIPE, text=True
    )
    assert second.stdout is not None
    assert second.stdout.readline() == "Another make is setting up this folder; waiting for it.\n"
    assert checkout.done() == ["venv", "torch"], "the second touches nothing"
    checkout.happen("pip-goes-on")
    assert first.wait(timeout=30) == 0
    assert second.wait(timeout=30) == 0
    second.stdout.close()
    assert checkout.done() == ["packages", "model", "-m turkish_ai.cli serve"]


def test_one_that_was_killed_while_it_set_up_keeps_nobody_waiting(checkout: Checkout) -> None:
    checkout.happen("pip-hangs")
    first = subprocess.Popen(
        ["make", "setup"],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(checkout.log.with_name("log.hanging").exists)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(timeout=30)
    checkout.happen("pip-hangs", yes=False)
    shown = checkout.make("setup")
    assert shown.returncode == 0
    assert "waiting" not in shown.stdout


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_after_a_broken_download_of_the_model_pip_has_nothing_to_do(checkout: Checkout) -> None:
    checkout.happen("download-fails")
    assert checkout.make("setup").returncode != 0
    assert checkout.done() == ["venv", "torch", "packages", "model"]
    checkout.happen("download-fails", yes=False)
    assert checkout.make("setup").returncode == 0
    assert checkout.done() == ["model"]


def test_a_folder_that_was_moved_is_set_up_anew(checkout: Checkout) -> None:
    checkout.make("setup")
    checkout.done()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("başka yer"))
    shown = checkout.make("setup")
    assert "moved or copied" in shown.stdout
    assert checkout.done() == ["venv", "torch", "packages", "model"]


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.make("setup")
    checkout.done()
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    assert checkout.make("setup").returncode == 0
    assert checkout.done() == ["venv", "torch", "packages", "model"]


def test_make_works_from_another_folder(checkout: Checkout, tmp_path: Path) -> None:
    shown = checkout.make("-f", str(checkout.folder / "Makefile"), "setup", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert (checkout.folder / ".setup.stamp").read_text() == f"{checkout.folder}\n"
    assert not (tmp_path / ".venv").exists()


def test_without_a_python_that_is_new_enough_the_error_says_what_to_do(checkout: Checkout) -> None:
    shown = checkout.make("setup", "PYTHON=/nowhere/python3")
    assert shown.returncode != 0
    assert "No Python 3.11 or later was found (tried: /nowhere/python3)" in shown.stderr
    assert "PYTHON=" in shown.stderr
    assert not (checkout.folder / ".venv").exists()


def test_the_help_comes_first_and_needs_nothing(checkout: Checkout) -> None:
    shown = checkout.make()
    assert shown.returncode == 0
    for target in ("setup", "serve", "chat", "test", "check", "clean"):
        assert f"  {target} " in shown.stdout
    assert checkout.done() == []
