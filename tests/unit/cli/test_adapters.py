"""Which sector has which adapter, and whether each may be served."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import ROOT
from turkish_ai.cli import main

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base`: a tiny model; `adapters/healthcare`: an adapter made for it."""
    from tests.fakes.tiny_models import make_adapter, make_model

    folder = tmp_path_factory.mktemp("tiny")
    base = make_model("gemma3", folder / "tiny")
    make_adapter(base, folder / "adapters" / "healthcare", seed=1)
    return folder


@pytest.fixture
def project(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings that name the tiny model; healthcare has its adapter, ecommerce lost its own, others never had one."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "model_config.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    for sector in raw["sectors"]:
        sector["adapter"] = sector["id"] if sector["id"] in ("healthcare", "ecommerce") else None
    raw["general"]["adapter"] = None
    file.write_text(json.dumps(raw), encoding="utf-8")
    shutil.copytree(tiny / "adapters", tmp_path / "adapters")
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(file))
    monkeypatch.setenv("TURKISH_AI_BASE_MODEL", str(tiny / "tiny"))
    return tmp_path


def test_the_list_tells_what_is_there_lost_and_never_was(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "tr", "adapters", "list"]) == 0
    rows = {row.split("\t")[0]: row.split("\t") for row in capsys.readouterr().out.splitlines()}
    assert len(rows) == 23  # and general
    assert rows["healthcare"][1] == "Sağlık"
    assert len(rows["healthcare"][2]) == 12
    assert rows["healthcare"][3] == "var"
    assert rows["ecommerce"][2:] == ["-", "ecommerce için ayarlanan adaptör yerinde yok"]
    assert rows["legal"][2:] == ["-", "yok"]


def test_the_list_in_json_has_the_hash_and_the_error(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "list", "--json"]) == 0
    entries = {entry["sector"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert len(entries["healthcare"]["sha256"]) == 64
    assert entries["healthcare"]["error"] is None
    assert entries["ecommerce"]["error"] == "adapter_not_found"


def test_a_sound_adapter_is_proven_against_the_base_model(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "verify", "healthcare", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["rank"] == 4
    assert found["bytes"] > 0


def test_one_that_is_lost_fails_the_verification(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapters", "verify"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2  # sectors that never had one are no failure
    assert "1 adapters are sound, 1 are not" in err


def test_a_sector_that_never_had_one_is_said_to_have_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "tr", "adapters", "verify", "legal", "healthcare"]) == 0
    out, err = capsys.readouterr()
    assert "legal\tHukuk\t-\t-\t-\tyok" in out
    assert err == "1 adaptör sağlam, 0 adaptör sorunlu, 1 sektörün adaptörü yok.\n"


def test_one_that_was_made_for_another_base_fails_with_the_reason(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = project / "adapters" / "healthcare" / "adapter_config.json"
    described = json.loads(config.read_text())
    described["base_model_name_or_path"] = "someone/another-model"
    config.write_text(json.dumps(described))
    assert main(["adapters", "verify", "healthcare"]) == 1
    assert "another-model" in capsys.readouterr().out


def test_one_that_was_cut_short_fails_with_the_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = project / "adapters" / "healthcare" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert main(["adapters", "verify", "healthcare"]) == 1
    assert "truncated" in capsys.readouterr().out


def test_without_a_base_model_there_is_nothing_to_verify_against(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TURKISH_AI_BASE_MODEL")
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(project / "empty"))
    assert main(["adapters", "verify"]) == 1
    assert "turkish-ai setup" in capsys.readouterr().err
