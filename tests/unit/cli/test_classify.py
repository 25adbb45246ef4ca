"""Texts come in as arguments or lines, their sectors go out for people or machines."""

import json

import pytest

from tests.unit.cli.conftest import Run
from turkish_ai.cli import main

pytestmark = pytest.mark.usefixtures("isolated")

PARCEL = "İnternetten aldığım ayakkabının kargosu gelmedi, iade etmek istiyorum"


def test_a_text_gets_its_sectors_name_in_the_persons_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "tr", "classify", PARCEL]) == 0
    assert capsys.readouterr().out.startswith("E-ticaret (ecommerce) %")
    assert main(["--lang", "en", "classify", PARCEL]) == 0
    assert capsys.readouterr().out.startswith("E-commerce (ecommerce) ")


def test_what_belongs_to_no_sector_is_general(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "tr", "classify", "merhaba, nasılsın?"]) == 0
    assert capsys.readouterr().out.startswith("Genel (general) %")


def test_the_words_that_decided_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", PARCEL, "--evidence"]) == 0
    assert "decided by: " in capsys.readouterr().out
    assert main(["classify", PARCEL, "--evidence", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"]


def test_each_line_of_a_pipe_is_a_text_and_each_answer_a_line_of_json(run: Run) -> None:
    shown = run("classify", "--json", stdin=f"{PARCEL}\n\nMR sonucum ne zaman çıkar?\r\n")
    assert shown.returncode == 0, shown.stderr
    answers = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [answer["sector"] for answer in answers] == ["ecommerce", "healthcare"]
    assert answers[1]["text"] == "MR sonucum ne zaman çıkar?"
    assert answers[0]["sector_name"] == "E-commerce"
    assert 0 < answers[0]["confidence"] <= 1
    assert answers[0]["top"][0]["sector"] == "ecommerce"


def test_a_pipe_without_a_line_gives_nothing(run: Run) -> None:
    shown = run("classify", stdin="")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "There is no text to classify" in shown.stderr


def test_an_empty_text_has_no_sector(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", " "]) == 2
    assert "There is no text to classify" in capsys.readouterr().err
