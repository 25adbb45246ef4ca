"""The one call that the command line makes."""

import json
import signal
from pathlib import Path

import pytest

from tests.unit.training.conftest import SECTOR, Watcher, recipe, write_sector
from turkish_ai.errors import DataError, SettingsError, UnknownSector
from turkish_ai.settings import Settings, load_model_config
from turkish_ai.training import TrainingStopped, train_sectors

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings(tiny_bases: dict[str, Path], tmp_path: Path) -> Settings:
    """The project's own configuration with a tiny base model and a tiny recipe."""
    config_path = ROOT / "configs" / "model_config.json"
    config = load_model_config(config_path).model_copy(update={"lora": recipe()})
    write_sector(tmp_path / "data" / "sectors" / f"{SECTOR}.jsonl")
    return Settings(
        config=config,
        config_path=config_path,
        root=tmp_path,
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "state",
        adapters_dir=tmp_path / "adapters",
        base_model=str(tiny_bases["gemma3"]),
        base_model_sha256=None,
        host="127.0.0.1",
        port=0,
    )


def test_a_sector_is_trained_into_the_adapters_directory(settings: Settings) -> None:
    reports = train_sectors(settings, [SECTOR, SECTOR], progress=Watcher(), epochs=1)
    assert [(report.sector, report.outcome, len(report.epochs)) for report in reports] == [(SECTOR, "trained", 1)]
    config = json.loads((settings.adapters_dir / SECTOR / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == settings.base_model_name


def test_another_folder_may_take_the_adapters(settings: Settings, tmp_path: Path) -> None:
    (report,) = train_sectors(settings, [SECTOR], progress=Watcher(), epochs=1, out_dir=tmp_path / "tried")
    assert report.adapter_dir == tmp_path / "tried" / SECTOR
    assert not settings.adapters_dir.exists()


def test_ctrl_c_saves_and_the_same_call_goes_on(settings: Settings) -> None:
    before = signal.getsignal(signal.SIGINT)
    watcher = Watcher(at_step=lambda step: signal.raise_signal(signal.SIGINT) if step.step == 2 else None)
    with pytest.raises(TrainingStopped, match="after step 2"):
        train_sectors(settings, [SECTOR], progress=watcher)
    assert any("once more stops at once" in note for note in watcher.notes)
    assert signal.getsignal(signal.SIGINT) is before
    continued = Watcher()
    (report,) = train_sectors(settings, [SECTOR], progress=continued)
    assert continued.started[0][0] == 2
    assert report.outcome == "trained"


def test_a_second_ctrl_c_stops_at_once(settings: Settings) -> None:
    def twice(_step: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        train_sectors(settings, [SECTOR], progress=Watcher(at_step=twice))
    assert not isinstance(stopped.value, TrainingStopped)


def test_every_file_is_checked_before_the_first_sector_is_trained(settings: Settings) -> None:
    (settings.sector_data_dir / "legal.jsonl").write_text("{broken\n", encoding="utf-8")
    watcher = Watcher()
    with pytest.raises(DataError, match=r"legal\.jsonl:1: "):
        train_sectors(settings, [SECTOR, "legal"], progress=watcher)
    assert watcher.started == []


def test_an_unknown_sector_and_no_epochs_are_refused(settings: Settings) -> None:
    with pytest.raises(UnknownSector, match="'bankacilik'"):
        train_sectors(settings, ["bankacilik"], progress=Watcher())
    with pytest.raises(SettingsError, match="epochs is 0"):
        train_sectors(settings, [SECTOR], progress=Watcher(), epochs=0)
