"""`turkish-ai evaluate` on a tiny model: what it asks, counts, writes and refuses."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.training.conftest import SECTOR, recipe, write_sector
from turkish_ai.cli import main
from turkish_ai.settings import load_settings

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


def test_the_question_banks_are_measured_without_a_model_or_an_adapter(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = project / "report.json"
    assert main(["evaluate", "--lookup", "--out", str(report)]) == 0
    assert capsys.readouterr().out.startswith(f"{SECTOR}\t")
    (sector,) = json.loads(report.read_text(encoding="utf-8"))["sectors"]
    assert sector["adapter_version"] == "lookup"
    known = {json.loads(line)["messages"][-1]["content"] for line in _rows(project)}
    no_answer = next(s.no_answer_tr for s in load_settings().config.sectors if s.id == SECTOR)
    assert all(answer["answer"] in {*known, no_answer} for answer in sector["answers"])
    assert not (project / "cache" / "base_model").exists()


def _rows(project: Path) -> list[str]:
    return (project / "data" / "sectors" / f"{SECTOR}.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_report_is_measured_part_by_part_and_drawn_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = project / "docs"
    assert main(["report", "--draw", "--out", str(docs)]) == 1
    assert "turkish-ai report" in capsys.readouterr().err
    assert main(["train", SECTOR]) == 0
    assert main(["report", "data", "losses", "answers", "--out", str(docs)]) == 0
    text = (docs / "evaluation.md").read_text(encoding="utf-8")
    assert f"| {SECTOR} | 21 |" in text
    assert "The own adapter beats the base model in" in text
    assert "| base model | 1 |" in text
    assert "## router\n\nNot measured." in text
    (docs / "evaluation" / "losses.json").unlink()
    assert main(["report", "--draw", "--out", str(docs)]) == 0
    assert "## losses\n\nNot measured." in (docs / "evaluation.md").read_text(encoding="utf-8")


def test_an_unknown_part_and_parts_with_draw_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "weather"]) == 2
    assert "data, router, answers, losses" in capsys.readouterr().err
    assert main(["report", "data", "--draw"]) == 2
    assert "--draw" in capsys.readouterr().err
