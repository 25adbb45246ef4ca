"""The configuration is checked, and its schema printed and compared."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.cli.conftest import ROOT
from turkish_ai.cli import main
from turkish_ai.settings import model_config_schema

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration that a test may spoil."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setenv("TURKISH_AI_CONFIG", str(tmp_path / "configs" / "model_config.json"))
    (tmp_path / "data" / "routing").mkdir(parents=True)
    (tmp_path / "configs" / "model_config.schema.json").write_text(model_config_schema(), encoding="utf-8")
    return tmp_path


def test_a_good_configuration_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check"]) == 0
    assert f"{project / 'configs' / 'model_config.json'}: valid" in capsys.readouterr().out


def test_a_wrong_entry_is_named_with_its_file_and_value(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "configs" / "model_config.json"
    raw = json.loads(file.read_text(encoding="utf-8"))
    raw["lora"]["rank"] = "eight"
    file.write_text(json.dumps(raw), encoding="utf-8")
    for line in (["config", "check"], ["config", "check", str(file)]):
        assert main(line) == 1
        err = capsys.readouterr().err
        assert str(file) in err
        assert "lora.rank" in err
        assert '"eight"' in err


def test_files_that_the_configuration_names_and_are_not_there_are_found(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "configs" / "model_config.json"
    good = json.loads(file.read_text(encoding="utf-8"))
    for section, entry in (("tokenizer", "chat_template"), ("routing", "data")):
        file.write_text(json.dumps(good | {section: good[section] | {entry: "nope"}}), encoding="utf-8")
        for line in (["config", "check"], ["config", "check", str(file)]):
            assert main(line) == 1
            err = capsys.readouterr().err
            assert f"{section}.{entry}" in err
            assert "nope" in err


def test_an_unknown_variable_is_found_too(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURKISH_AI_PROT", "8000")
    assert main(["config", "check"]) == 1
    assert "TURKISH_AI_PROT" in capsys.readouterr().err


def test_the_schema_is_printed_as_the_file_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert capsys.readouterr().out == model_config_schema()


def test_the_schema_on_disk_is_compared_with_the_code(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema", "--check"]) == 0
    schema = project / "configs" / "model_config.schema.json"
    schema.write_text("{}", encoding="utf-8")
    assert main(["config", "schema", "--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    schema.unlink()
    assert main(["config", "schema", "--check"]) == 1
    assert "missing" in capsys.readouterr().err
