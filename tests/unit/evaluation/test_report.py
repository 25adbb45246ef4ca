"""Every figure of the report comes out of the measurements, and what was not measured says so."""

from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from turkish_ai.evaluation.heatmap import heatmap
from turkish_ai.evaluation.report import write_report

TODAY = date(2026, 1, 2)


def scores(**changes: Any) -> dict[str, Any]:
    return {
        "questions": 40,
        "routed_accuracy": 0.9125,
        "routed_macro_f1": 0.9,
        "unknown_recall": None,
        "unknown_precision": 0.5,
        "calibration_error": 0.031,
        "sure_share": 0.8,
        "sure_accuracy": 0.95,
        "f1_by_class": {"legal": 0.9, "general": 0.8},
        "accuracy_by_style": {"plain": 0.75},
        "questions_by_style": {"plain": 4},
        "confusion": [["legal", "legal", 3], ["legal", "general", 1]],
    } | changes


ROUTER = {
    "held_out": scores(),
    "held_out_bare": scores(),
    "test": None,
    "test_bare": None,
    "cross_validated": scores(questions=1234),
    "min_confidence": 0.2,
    "latency_p50_us": 101.5,
    "latency_p99_us": 300.0,
    "follow_ups": None,
    "mistakes": [{"text": "dava | dilekçe", "sector": "legal", "found": "general", "confidence": 0.4}],
}


def answer(verdict: str, *, family: str = "dava", said: int = 1) -> dict[str, Any]:
    question = {"id": f"q-{family}", "text": "Nasıl dava açarım?", "family": family, "facts": ["mahkeme", "dilekçe"]}
    return {
        "question": question,
        "answer": "Dilekçeyle mahkemeye başvurun.",
        "verdict": verdict,
        "nearest": "icra",
        "finished": True,
        "turkish": True,
        "repetition": 0.0,
        "facts_said": said,
    }


SECTOR = {
    "sector": "legal",
    "taught": {"own": 1, "another": 1, "declined": 0, "invented": 0},
    "untaught": {"own": 0, "another": 0, "declined": 0, "invented": 0},
    "facts": 0.75,
    "turkish": 1.0,
    "finished": 1.0,
    "repetition": 0.0,
    "answers": [answer("own", said=2), answer("another", family="icra-itiraz")],
}

LOSSES = {
    "rows": [
        {"sector": "legal", "base": 4.0, "adapters": {"legal": 3.0, "energy": 3.5}},
        {"sector": "energy", "base": 4.0, "adapters": {"legal": 3.1, "energy": 3.2}},
    ]
}


def test_nothing_measured_is_said_of_every_part(tmp_path: Path) -> None:
    text = write_report(tmp_path, {}, machine="a machine", today=TODAY).read_text(encoding="utf-8")
    assert "Measured on 2026-01-02: a machine" in text
    assert text.count("Not measured.") == 4


def test_figures_and_mistakes_come_from_the_measurements(tmp_path: Path) -> None:
    measured = {"router": ROUTER, "answers": {"adapters": {"sectors": [SECTOR]}}, "losses": LOSSES}
    text = write_report(tmp_path, measured, machine="m", today=TODAY).read_text(encoding="utf-8")
    assert "| dev, bare queries | 40 | 0.912 | 0.900 | – | 0.500 | 0.031 | 80.0 %, 0.950 right |" in text
    assert "| cross-validated | 1234 |" in text
    assert r"| dava \| dilekçe | legal | general | 0.400 |" in text
    assert "| legal | 1 of 2 | 1 | 0 | 0 | 0 of 0 | 0.750 | 100.0 % | 100.0 % | 0.000 |" in text
    assert "| **all** | 1 of 2 |" in text
    assert "beats the base model in 2 of 2 sectors, and is the best of all adapters in 1." in text
    assert "| energy | 4.000 | 3.200 | legal | 3.100 |" in text
    assert text.count("Not measured.") == 1
    for name in ("confusion.svg", "losses.svg"):
        ElementTree.parse(tmp_path / "evaluation" / name)  # noqa: S314  # what was just drawn


def test_the_base_model_is_set_beside_the_adapters_on_the_same_questions(tmp_path: Path) -> None:
    base = {"sectors": [{"answers": [answer("invented", said=0)]}]}
    answers = {"adapters": {"sectors": [SECTOR]}, "base": base}
    text = write_report(tmp_path, {"answers": answers}, machine="m", today=TODAY).read_text(encoding="utf-8")
    assert "| own adapter | 1 | 100.0 % | 1.000 |" in text
    assert "| base model | 1 | 0.0 % | 0.000 |" in text


@pytest.mark.parametrize("values", [[[0.0, 0.0]], [[-1.0, 2.0]]])
def test_a_heatmap_is_well_formed_with_a_square_for_every_number(values: list[list[float]]) -> None:
    drawn = heatmap("a < b", rows=["r"], columns=["x", "<y>"], values=values, text=lambda value: f"{value:.0f}")
    root = ElementTree.fromstring(drawn)  # noqa: S314  # the same
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 3
