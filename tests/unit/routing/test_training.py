from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.routing.conftest import TinyRepository
from turkish_ai.errors import DataError, SettingsError
from turkish_ai.routing.examples import CLASSES
from turkish_ai.routing.model import RouterModel, load_model, to_bytes
from turkish_ai.routing.training import ensure_router, train_router
from turkish_ai.settings import Settings


def train(repository: TinyRepository) -> RouterModel:
    settings = repository.settings(repository.root)
    return train_router(
        routing_dir=repository.routing,
        sector_dir=repository.sectors,
        config=settings.config.routing,
        sectors=settings.config.sectors,
    )


def with_routing(settings: Settings, **changes: object) -> Settings:
    routing = settings.config.routing.model_copy(update=changes)
    return settings.model_copy(update={"config": settings.config.model_copy(update={"routing": routing})})


def test_the_same_data_give_the_same_bytes(repository: TinyRepository) -> None:
    assert to_bytes(train(repository)) == to_bytes(train(repository))


def test_all_classes_are_learnt_and_the_file_says_from_what(trained: tuple[Settings, Path]) -> None:
    model = load_model(trained[1])
    assert model.classes == CLASSES
    assert 0 < model.temperature < 10
    assert {"data_sha256", "seed", "rows", "dev_rows", "dev_accuracy"} <= set(model.provenance)
    assert model.provenance["dev_rows"] == 1


def test_dev_and_test_rows_and_later_turns_are_never_learnt(trained: tuple[Settings, Path]) -> None:
    vocabulary = load_model(trained[1]).vocabulary
    assert "_kaybettim_" in vocabulary
    assert not {"_faizxdev_", "_faizxtest_", "_surer_"} & set(vocabulary)


def test_a_second_start_trains_nothing(repository: TinyRepository, tmp_path: Path) -> None:
    settings = repository.settings(tmp_path / "cache")
    path = ensure_router(settings)
    written = path.stat().st_mtime_ns
    assert ensure_router(settings) == path
    assert path.stat().st_mtime_ns == written


def test_the_file_lies_in_the_cache_under_a_hash(trained: tuple[Settings, Path]) -> None:
    settings, path = trained
    assert path.parent == settings.cache_dir / "router"
    assert path.suffix == ".safetensors"
    int(path.stem, 16)


def test_other_data_or_ngrams_are_another_file_and_another_threshold_is_not(
    repository: TinyRepository, tmp_path: Path
) -> None:
    settings = repository.settings(tmp_path / "cache")
    path = ensure_router(settings)
    assert ensure_router(with_routing(settings, min_confidence=0.9, top=1, max_chars=50)) == path
    assert ensure_router(with_routing(settings, ngram_max=3)) != path
    repository.append(
        repository.routing / "legal.jsonl", '{"id": "n", "sector": "legal", "style": "plain", "text": "icra nedir"}'
    )
    assert ensure_router(settings) != path


def test_two_starts_at_once_leave_one_whole_file(repository: TinyRepository, tmp_path: Path) -> None:
    settings = repository.settings(tmp_path / "cache")
    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = pool.map(ensure_router, [settings, settings])
    assert first == second
    assert load_model(first).sha256
    assert {file.suffix for file in first.parent.iterdir()} <= {".safetensors", ".lock"}


def test_another_version_of_a_library_is_another_file(
    repository: TinyRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = repository.settings(tmp_path / "cache")
    path = ensure_router(settings)
    for library in ("scipy", "numpy", "scikit-learn"):
        monkeypatch.setattr(
            "turkish_ai.routing.training.version", lambda name, new=library: "99" if name == new else version(name)
        )
        assert ensure_router(settings) != path


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(repository: TinyRepository, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"file/router \(Not a directory\).*TURKISH_AI_CACHE_DIR"):
        ensure_router(repository.settings(tmp_path / "file"))


def test_broken_data_stop_the_training_and_leave_no_file(repository: TinyRepository, tmp_path: Path) -> None:
    repository.append(repository.routing / "legal.jsonl", "{")
    with pytest.raises(DataError, match=r"legal\.jsonl"):
        ensure_router(repository.settings(tmp_path / "cache"))
    assert not list((tmp_path / "cache" / "router").glob("*.safetensors"))
