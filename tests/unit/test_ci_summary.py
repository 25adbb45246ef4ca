"""The last lines of a CI run say what ran, what failed, and why something was skipped."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CASES = {
    "passed": '<testcase classname="tests.a" name="test_one" time="0.1"/>',
    "failed": '<testcase classname="tests.a" name="test_two"><failure message="no">trace</failure></testcase>',
    "error": '<testcase classname="tests.a" name="test_three"><error message="no">trace</error></testcase>',
    "skipped": '<testcase classname="tests.b" name="test_four"><skipped message="needs the model"/></testcase>',
}


def summarise(folder: Path, *kinds: str) -> "subprocess.CompletedProcess[str]":
    junit = folder / "junit.xml"
    cases = "".join(CASES[kind] for kind in kinds)
    junit.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return run(junit, folder)


def run(junit: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "ci_summary.py"), str(junit)],
        env={"GITHUB_STEP_SUMMARY": str(folder / "page.md")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_run_ends_with_its_figures_after_the_reasons_for_skips(tmp_path: Path) -> None:
    shown = summarise(tmp_path, "passed", "passed", "skipped")
    assert shown.returncode == 0
    assert shown.stdout.splitlines() == [
        "SKIPPED [1] needs the model",
        "  tests.b::test_four",
        "2 passed, 0 failed, 1 skipped",
    ]
    assert "2 passed, 0 failed, 1 skipped" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("kind", ["failed", "error"])
def test_a_failure_is_named_and_is_the_exit_code(tmp_path: Path, kind: str) -> None:
    shown = summarise(tmp_path, "passed", kind)
    assert shown.returncode == 1
    assert shown.stdout.startswith("FAILED tests.a::test_")
    assert shown.stdout.splitlines()[-1] == "1 passed, 1 failed, 0 skipped"


def test_a_run_without_tests_is_no_success(tmp_path: Path) -> None:
    assert summarise(tmp_path).returncode == 1
    assert summarise(tmp_path, "skipped").returncode == 1
    missing = run(tmp_path / "none.xml", tmp_path)
    assert missing.returncode == 1
    assert missing.stdout == "0 passed, 0 failed, 0 skipped\n"


def test_a_run_that_could_not_set_up_ends_with_its_figures_too(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "Makefile").write_text("setup:\n\t@exit 1\n")
    shown = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-1] == "0 passed, 0 failed, 0 skipped"
