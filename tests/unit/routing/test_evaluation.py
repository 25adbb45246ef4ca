import json
from pathlib import Path

import pytest

from turkish_ai.routing.evaluation import RouterReport, evaluate_router
from turkish_ai.routing.examples import CLASSES
from turkish_ai.settings import Settings


@pytest.fixture(scope="module")
def report(trained: tuple[Settings, Path]) -> RouterReport:
    return evaluate_router(trained[0])


def test_every_class_and_every_style_is_measured(report: RouterReport) -> None:
    assert set(report.f1_by_class) == set(CLASSES)
    assert set(report.accuracy_by_style) == set(report.questions_by_style) == {"plain", "colloquial"}
    assert sum(report.questions_by_style.values()) == report.cross_validated.questions


def test_all_shares_are_shares(report: RouterReport) -> None:
    scores = report.cross_validated
    for name in (
        "accuracy",
        "macro_f1",
        "routed_accuracy",
        "routed_macro_f1",
        "unknown_recall",
        "unknown_precision",
        "wrong_sector",
        "calibration_error",
    ):
        assert 0 <= getattr(scores, name) <= 1, name


def test_questions_with_plain_words_are_mostly_found(report: RouterReport) -> None:
    assert report.cross_validated.macro_f1 > 0.7


def test_the_test_split_is_measured_only_when_it_is_asked_for(
    report: RouterReport, trained: tuple[Settings, Path]
) -> None:
    assert report.held_out is not None
    assert report.held_out.questions == 1
    assert report.test is None
    with_test = evaluate_router(trained[0], test=True)
    assert with_test.held_out == report.held_out
    assert with_test.test is not None
    assert with_test.test.questions == 1


def test_a_share_of_nothing_is_not_measured(report: RouterReport) -> None:
    assert report.held_out is not None
    assert report.held_out.classes == 1, "so no question of general is among them"
    assert report.held_out.unknown_recall is None
    assert report.held_out.unknown_precision is None
    assert json.loads(report.to_json())["held_out"]["unknown_recall"] is None
    assert report.cross_validated.classes == len(CLASSES)
    assert report.cross_validated.unknown_recall is not None


def test_later_turns_are_measured_with_and_without_history(report: RouterReport) -> None:
    assert report.follow_ups is not None
    assert report.follow_ups.turns == 1
    assert report.follow_ups.turns_with_history >= report.follow_ups.turns_alone


def test_confused_pairs_are_never_right_answers_and_come_most_frequent_first(report: RouterReport) -> None:
    assert all(truth != guess for truth, guess, _ in report.confused)
    assert [count for *_, count in report.confused] == sorted((c for *_, c in report.confused), reverse=True)


def test_the_time_of_a_choice_is_told(report: RouterReport) -> None:
    assert 0 < report.latency_p50_us <= report.latency_p99_us


def test_the_report_is_json(report: RouterReport) -> None:
    found = json.loads(report.to_json())
    assert found["cross_validated"]["questions"] == report.cross_validated.questions
    assert found["confused"] == [list(pair) for pair in report.confused]
