"""The router is built once, named by its content, and measured."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.routing.conftest import make_repository
from turkish_ai.cli import main

pytestmark = pytest.mark.usefixtures("isolated")


def test_building_twice_gives_one_router(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["router", "build"]) == 0
    first = capsys.readouterr().out
    assert main(["router", "build"]) == 0
    assert capsys.readouterr().out == first
    path = Path(first.partition(": ")[2].strip())
    assert path.is_file()
    assert main(["doctor", "--json"]) in (0, 1)
    findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["router"]["level"] == "ok"
    assert first.split()[1].rstrip(":") in findings["router"]["text"]


def test_the_measurement_is_shown_to_people_and_machines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = make_repository(tmp_path / "repository").root / "configs" / "model_config.json"
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(small))
    assert main(["router", "evaluate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.5 < found["cross_validated"]["macro_f1"] <= 1
    assert found["test"] is None
    assert found["held_out"]["unknown_recall"] is None, "no held-out question of the small repository is general's"
    assert main(["--lang", "tr", "router", "evaluate"]) == 0
    out = capsys.readouterr().out
    assert "Çapraz doğrulama" in out
    assert "23 sınıf" in out
    assert "makro F1" in out
    assert re.search(r"sektör dışı sorular: yakalanan +–", out)
    assert re.search(r"konuşma dili +[01],\d{3}  \(\d+\)", out)
    assert re.search(r"sonraki sorular +[01],\d{3} → [01],\d{3}  \(\d+\)", out)
    assert re.search(r"konu değişimleri +[01],\d{3} → [01],\d{3}", out)
    assert "Test soruları" not in out
