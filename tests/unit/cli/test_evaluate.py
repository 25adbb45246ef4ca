"""`turkish-ai evaluate` on a tiny model: what it asks, counts, writes and refuses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.training.conftest import SECTOR, recipe, write_sector
from turkish_ai.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(isolated: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained tiny adapter of one sector, and three questions to it."""
    from tests.fakes.tiny_models import make_model

    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "model_config.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["lora"] = recipe(epochs=1).model_dump(mode="json")
    for sector in raw["sectors"]:
        sector["adapter"] = SECTOR if sector["id"] == SECTOR else None
    raw["general"]["adapter"] = None
    raw["base_model"]["context_tokens"] = 512
    raw["inference"]["embedded"]["threads"] = 1
    file.write_text(json.dumps(raw), encoding="utf-8")
    write_sector(tmp_path / "data" / "sectors" / f"{SECTOR}.jsonl")
    recall = tmp_path / "data" / "recall" / f"{SECTOR}.jsonl"
    recall.parent.mkdir()
    taught = json.loads((tmp_path / "data" / "sectors" / f"{SECTOR}.jsonl").read_text(encoding="utf-8").split("\n")[0])
    families = [taught["family"], taught["family"], "unknown"]
    recall.write_text(
        "".join(
            json.dumps({"id": f"q{n}", "sector": SECTOR, "family": family, "style": "plain", "text": f"Yeni soru {n}?"})
            + "\n"
            for n, family in enumerate(families)
        ),
        encoding="utf-8",
    )
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(file))
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TURKISH_AI_BASE_MODEL", str(make_model("gemma3", tmp_path / "tiny")))
    return tmp_path


def test_every_question_is_asked_judged_and_written_down(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", SECTOR]) == 0
    capsys.readouterr()
    report = project / "report.json"
    assert main(["evaluate", "--out", str(report)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{SECTOR}\t")
    assert "3/3" in err
    (sector,) = json.loads(report.read_text(encoding="utf-8"))["sectors"]
    assert [answer["question"]["id"] for answer in sector["answers"]] == ["q0", "q1", "q2"]
    assert sum(sector["taught"].values()) == 2
    assert sum(sector["untaught"].values()) == 1


def test_what_cannot_be_asked_is_an_error_with_its_reason(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "astrology"]) == 2
    assert "astrology" in capsys.readouterr().err
    assert main(["evaluate", SECTOR]) == 1  # not trained yet
    assert "not there" in capsys.readouterr().err
    (project / "data" / "recall" / f"{SECTOR}.jsonl").unlink()
    assert main(["evaluate"]) == 1
    assert str(project / "data" / "recall") in capsys.readouterr().err
