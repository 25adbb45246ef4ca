"""Which sectors are trained, and how a training is told."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.cli.conftest import ROOT
from tests.unit.training.conftest import SECTOR, recipe, write_sector
from turkish_ai.cli import main
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.train import describe_report, report_object
from turkish_ai.training import EpochLoss, TrainingReport, TrainingStopped

REPORT = TrainingReport(
    sector="ecommerce",
    adapter_dir=Path("adapters/ecommerce"),
    outcome="trained",
    examples={"train": 100, "dev": 10},
    base_dev_loss=3.25,
    epochs=(EpochLoss(train=2.0, dev=1.75), EpochLoss(train=1.0, dev=1.5)),
    kept_epoch=2,
    seconds=61.0,
    weights_sha256="0" * 64,
    weights_bytes=1000,
)


def test_a_report_says_what_was_taught_and_what_was_not() -> None:
    assert describe_report(REPORT, Speaker("en")) == (
        "ecommerce: trained (epoch 2 of 2, 61 s): adapters/ecommerce\n"
        "  loss: 1.000 on taught questions; 1.500 on questions of topics that were not taught (base model: 3.250)"
    )
    assert "öğretilmeyen konulardaki sorularda 1,500 (temel model: 3,250)" in describe_report(REPORT, Speaker("tr"))


def test_a_loss_that_rose_is_not_shown_as_a_gain() -> None:
    risen = replace(REPORT, epochs=(EpochLoss(train=1.0, dev=6.39),), kept_epoch=1)
    english = describe_report(risen, Speaker("en"))
    assert "6.390 on questions of topics that were not taught, above the base model's (3.250)" in english
    assert "→" not in english
    turkish = describe_report(risen, Speaker("tr"))
    assert "6,390, temel modelinkinden (3,250) yüksek" in turkish


def test_what_was_interrupted_with_force_names_the_command_that_goes_on(
    isolated: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise TrainingStopped(sector="healthcare", step=3, steps=9)

    monkeypatch.setattr("turkish_ai.training.train_sectors", stop)
    for line, said in (
        (["healthcare", "--force", "--epochs", "3"], "`turkish-ai train healthcare --force --epochs 3` goes on"),
        (["ecommerce", "healthcare", "legal"], "the same command goes on"),
        (["ecommerce", "healthcare", "legal", "--force"], "`turkish-ai train healthcare legal --force` goes on"),
    ):
        assert main(["train", *line]) == 130
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1


def test_a_report_for_machines_is_plain_json() -> None:
    found = json.loads(json.dumps(report_object(REPORT)))
    assert found["adapter_dir"] == "adapters/ecommerce"
    assert found["epochs"][1] == {"train": 1.0, "dev": 1.5}
    assert found["examples"] == {"train": 100, "dev": 10}


def test_a_sector_without_data_is_an_error_with_its_file(
    isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(tmp_path / "configs" / "model_config.json"))
    assert main(["train", "--all"]) == 1
    assert str(tmp_path / "data" / "sectors") in capsys.readouterr().err


def test_a_sector_without_its_file_is_told_in_turkish(
    isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(tmp_path / "configs" / "model_config.json"))
    assert main(["--lang", "tr", "train", "legal"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Hata (veri): ")
    assert err.endswith("legal sektörünün yazışmalarını oraya yazın.\n")


@pytest.fixture
def project(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one sector with a little data, a tiny base model and a tiny recipe."""
    from tests.fakes.tiny_models import make_model

    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "model_config.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["lora"] = recipe(epochs=1).model_dump(mode="json")
    for sector in raw["sectors"]:
        sector["adapter"] = SECTOR if sector["id"] == SECTOR else None
    raw["general"]["adapter"] = None
    file.write_text(json.dumps(raw), encoding="utf-8")
    write_sector(tmp_path / "data" / "sectors" / f"{SECTOR}.jsonl")
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(file))
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TURKISH_AI_BASE_MODEL", str(make_model("gemma3", tmp_path / "tiny")))
    return tmp_path


def test_what_was_trained_is_found_sound_and_not_trained_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--all", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["sector"], report["outcome"]) == (SECTOR, "trained")
    assert report["adapter_dir"] == str(project / "adapters" / SECTOR)
    assert main(["adapters", "verify"]) == 0
    assert "1 adapters are sound, 0 are not" in capsys.readouterr().err
    assert main(["train", SECTOR]) == 0
    assert f"{SECTOR}: up to date" in capsys.readouterr().out


def test_setting_up_with_a_local_model_names_model_and_router(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    shutil.copytree(ROOT / "data", project / "data", dirs_exist_ok=True)
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(cache))
    assert main(["--lang", "tr", "setup"]) == 0
    out = capsys.readouterr().out
    assert f"Temel model: {project / 'tiny'}" in out
    assert "Yönlendirici " in out
    assert "turkish-ai serve" in out
