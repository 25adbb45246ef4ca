"""The edge: what a person sees of an error, and the exit code that a script sees."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import ROOT, Run
from turkish_ai.cli import main

pytestmark = pytest.mark.usefixtures("isolated")

HEAVY = ("torch", "transformers", "fastapi", "uvicorn", "sklearn", "httpx", "peft", "numpy", "turkish_ai.settings")


def test_an_error_of_ours_is_one_line_with_its_remedy_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["config", "check", str(tmp_path / "none.json")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error (settings): ")
    assert err.count("\n") == 1
    assert "cannot be read" in err
    assert "TURKISH_AI_CONFIG" in err


def test_in_turkish_the_error_has_a_turkish_headline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--lang", "tr", "config", "check", str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err.startswith("Hata (ayar): ")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be read"):
        main(["config", "check", str(tmp_path / "none.json"), "--debug"])


@pytest.mark.parametrize(
    ("line", "english", "turkish"),
    [
        (["serv"], "No such command 'serv'", "serv diye bir komut yok"),
        (["serve", "--prot", "1"], "No such option: --prot", "--prot diye bir seçenek yok"),
        (["serve", "--port", "http"], "Invalid value for '--port'", "--port bir tam sayı ister"),
        (["serve", "--port", "99999"], "less than or equal to 65535", "--port en çok 65535 olabilir"),
        (["serve", "--port", "-1"], "greater than or equal to 0", "--port en az 0 olabilir"),
        (["serve", "--port"], "requires an argument", "--port bir değer ister"),
        (["config", "check", "a", "b"], "unexpected extra argument", "Fazladan verilen: b"),
        (["router"], "Missing command", "Komut verilmedi"),
        (["train"], "Name sectors, or give --all", "--all seçeneğini verin"),
        (["train", "ecommerce", "--all"], "not both", "ikisini birden vermeyin"),
        (["train", "cooking"], "'cooking' is no sector's id", "'cooking' bir sektör kimliği değil"),
        (["adapters", "verify", "cooking"], "'cooking' is no sector's id", "'cooking' bir sektör kimliği değil"),
        (["chat", "  "], "The question is empty", "Soru boş"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_explained_in_one_line_with_exit_code_2(
    capsys: pytest.CaptureFixture[str], line: list[str], english: str, turkish: str
) -> None:
    for language, said in (("en", english), ("tr", turkish)):
        assert main(["--lang", language, *line]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert said in err
        assert "--help" in err
        assert err.count("\n") == 1


def test_a_language_that_is_not_spoken_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lang", "de", "serve"]) == 2
    err = capsys.readouterr().err
    assert "'de' is not one of 'tr', 'en'" in err


def test_a_wrong_language_variable_is_an_error_and_not_silently_english(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURKISH_AI_LANG", "fr")
    assert main(["classify", "kargo"]) == 1
    assert "TURKISH_AI_LANG is 'fr'" in capsys.readouterr().err
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    assert main(["classify", "kargo"]) == 1
    assert "TURKISH_AI_LANG 'fr'; olabilecekler: tr ve en." in capsys.readouterr().err


def test_the_shell_completes_with_a_wrong_language_variable_too(run: Run) -> None:
    asked = {"_TURKISH_AI_COMPLETE": "complete_bash", "COMP_WORDS": "turkish-ai cl", "COMP_CWORD": "1"}
    assert run(env=asked | {"TURKISH_AI_LANG": "de"}).stdout.split() == ["classify"]


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["serve", "--help"], []])
def test_help_and_version_answer_with_a_wrong_language_variable_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setenv("TURKISH_AI_LANG", "fr")
    assert main(line) == 0
    assert capsys.readouterr().out


def test_the_doctor_lists_a_wrong_language_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURKISH_AI_LANG", "fr")
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "✗ TURKISH_AI_LANG: olabilecekler: 'tr' ya da 'en'" in out


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "99999", "TURKISH_AI_PORT 99999; 0 ile 65535 arasında olmalı."),
        ("FOO", "1", "TURKISH_AI_FOO diye bir ortam değişkeni tanınmıyor. Tanınanlar: TURKISH_AI_CONFIG"),
        ("PORT", "http", "TURKISH_AI_PORT: tam sayı olmalı"),
    ],
)
def test_a_wrong_setting_is_told_in_turkish_to_those_who_read_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TURKISH_AI_{name}", value)
    assert main(["--lang", "tr", "config", "check"]) == 1
    assert capsys.readouterr().err.startswith(f"Hata (ayar): {said}")
    assert main(["--lang", "tr", "doctor"]) == 1
    assert said.partition(". ")[0] in capsys.readouterr().out


def test_an_error_that_nobody_foresaw_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def break_down(*_: object) -> None:
        raise NotADirectoryError(str(tmp_path))

    monkeypatch.setattr("turkish_ai.cli.router.load_router", break_down)
    assert main(["classify", "kargo"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Unexpected error: NotADirectoryError")
    assert "--debug" in err
    assert err.count("\n") == 1


def test_a_cache_that_cannot_be_written_is_an_error_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert main(["classify", "kargo"]) == 1
    err = capsys.readouterr().err
    assert "could not be written" in err
    assert "TURKISH_AI_CACHE_DIR" in err
    assert err.count("\n") == 1


def test_the_help_teaches_in_the_persons_language(run: Run) -> None:
    turkish = run("chat", "--help", env={"LANG": "tr_TR.UTF-8"})
    assert turkish.returncode == 0
    for said in ("Kullanım: ", "Seçenekler", "Örnekler", "Bu yardımı göster", "Çalışan sunucuya bağlanır", "SORU"):
        assert said in turkish.stdout
    assert "Usage" not in turkish.stdout
    english = run("chat", "--help")
    for said in ("Usage: ", "Options", "Examples", "Connects to a running server", "QUESTION"):
        assert said in english.stdout
    assert "<sayı> [x>=1]" in turkish.stdout
    assert "<number> [x>=1]" in english.stdout
    for page in (turkish.stdout, english.stdout):
        assert "bool" not in page, "a flag takes no value"
        assert "str" not in re.findall(r"<(\w+)", page)


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    shown = run()
    assert shown.returncode == 0
    for command in ("chat", "classify", "serve", "train", "adapters", "router", "setup", "doctor", "config"):
        assert f" {command} " in shown.stdout
    assert "--install-completion" in shown.stdout


@pytest.mark.parametrize("line", [["--version"], ["--help"], ["serve", "--help"]])
def test_help_and_version_load_nothing_heavy(environment: dict[str, str], line: list[str]) -> None:
    code = (
        "import sys\n"
        "from turkish_ai.cli import main\n"
        f"code = main({line!r})\n"
        f"sys.exit([name for name in {HEAVY!r} if name in sys.modules] or code)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_version_answers_at_once(run: Run) -> None:
    def spent_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    times = []
    for _ in range(3):
        before = spent_s()
        assert run("--version").stdout.startswith("turkish-ai 0.")
        times.append(spent_s() - before)
    # Processor time, since other work on the machine does not count: 0.27 s measured, torch alone would take seconds.
    assert min(times) < 1.0


def test_a_reader_that_has_enough_ends_the_command_without_a_complaint(environment: dict[str, str]) -> None:
    ran = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m turkish_ai.cli config schema | head -1'],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "{\n"
    assert ran.stderr == ""


def test_a_terminal_that_cannot_show_turkish_letters_gets_question_marks_and_no_error(run: Run) -> None:
    shown = run("--lang", "tr", "--help", env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0
    assert "Se?enekler" in shown.stdout


def test_the_shell_completes_commands(run: Run) -> None:
    asked = {"_TURKISH_AI_COMPLETE": "complete_bash", "COMP_WORDS": "turkish-ai cl", "COMP_CWORD": "1"}
    assert run(env=asked).stdout.split() == ["classify"]


def test_the_shell_completes_sectors(run: Run) -> None:
    asked = {"_TURKISH_AI_COMPLETE": "complete_bash", "COMP_WORDS": "turkish-ai train ener", "COMP_CWORD": "2"}
    assert run(env=asked).stdout.split() == ["energy", "energy_distribution"]
