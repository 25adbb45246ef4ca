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
    scores = report.cross_validated
    assert set(scores.f1_by_class) == set(CLASSES)
    assert set(scores.accuracy_by_style) == set(scores.questions_by_style) == {"plain", "colloquial"}
    assert sum(scores.questions_by_style.values()) == scores.questions
    assert sum(count for *_, count in scores.confusion) == scores.questions


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
        "sure_share",
        "sure_accuracy",
    ):
        assert 0 <= getattr(scores, name) <= 1, name
    right = sum(count for truth, guess, count in scores.confusion if truth == guess)
    assert round(right / scores.questions, 4) == scores.accuracy


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
    confused = report.cross_validated.confused
    assert confused
    assert all(truth != guess for truth, guess, _ in confused)
    assert [count for *_, count in confused] == sorted((count for *_, count in confused), reverse=True)


def test_mistakes_are_those_of_the_questions_that_were_held_out(report: RouterReport) -> None:
    assert report.held_out is not None
    wrong = sum(count for truth, guess, count in report.held_out.confusion if truth != guess)
    assert len(report.mistakes) == wrong
    assert all(mistake.sector != mistake.found for mistake in report.mistakes)


def test_the_time_of_a_choice_is_told(report: RouterReport) -> None:
    assert 0 < report.latency_p50_us <= report.latency_p99_us


def test_the_report_is_json(report: RouterReport) -> None:
    found = json.loads(report.to_json())
    assert found["cross_validated"]["questions"] == report.cross_validated.questions
    assert found["cross_validated"]["confusion"] == [list(pair) for pair in report.cross_validated.confusion]
