"""Environment and configuration file become one checked value."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from turkish_ai.errors import SettingsError
from turkish_ai.settings import load_model_config, load_settings, require_files

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, change: Any) -> Path:
    raw = json.loads((ROOT / "configs" / "model_config.json").read_text(encoding="utf-8"))
    change(raw)
    file = folder / "configs" / "model_config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(raw), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(colour="red"), ["colour", "unknown entry", '"red"']),
        (lambda c: c["inference"]["defaults"].update(temperature=3), ["inference.defaults.temperature", "2", "3"]),
        (lambda c: c["inference"]["limits"].update(n="8"), ["inference.limits.n", "integer", '"8"']),
        (lambda c: c["base_model"].update(sha256="x"), ["base_model.sha256", "pattern", '"x"']),
        (lambda c: c["sectors"][0].update(id="cooking"), ["sectors.0.id", "finance_banking", '"cooking"']),
        (lambda c: c["sectors"].pop(), ["missing environmental_services"]),
        (lambda c: c["sectors"].append(c["sectors"][0]), ["more than once: finance_banking"]),
        (lambda c: c["lora"].update(rank=128), ["128", "max_rank (64)"]),
        (lambda c: c["voice"].update(enabled=True), ["voice.enabled", "true"]),
        (lambda c: c["inference"]["defaults"].update(max_tokens=9999), ["9999", "limits.max_tokens"]),
        (lambda c: c.pop("routing"), ["routing", "required"]),
        (lambda c: c["routing"].update(ngram_min=5, ngram_max=2), ["ngram_min is 5", "ngram_max (2)"]),
        (lambda c: c["base_model"].update(sha256=None), ["base_model", "sha256 is null", "pypi:"]),
        (lambda c: c["base_model"].update(context_tokens=16), ["defaults.max_tokens is 256", "context_tokens 16"]),
        (lambda c: c["routing"].update(ngram=2), ["routing.ngram", "is ngram_min meant?"]),
        (lambda c: c["contact"].update(mail="a@b"), ["contact.mail", "known here: issues"]),
    ],
)
def test_a_wrong_entry_names_file_path_value_and_what_is_allowed(tmp_path: Path, change: Any, said: list[str]) -> None:
    file = write(tmp_path, change)
    with pytest.raises(SettingsError) as refused:
        load_model_config(file)
    message = str(refused.value)
    assert str(file) in message
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(colour="red"), ["colour: bilinmeyen girdi", 'bulunan: "red"', "burada olabilecekler: "]),
        (lambda c: c["inference"]["defaults"].update(temperature=3), ["en çok 2", "bulunan: 3"]),
        (lambda c: c["inference"]["limits"].update(n="8"), ["tam sayı olmalı"]),
        (lambda c: c["sectors"].pop(), ["eksik olanlar: environmental_services"]),
        (lambda c: c["lora"].update(rank=128), ["lora.rank 128", "(64) büyük olamaz"]),
        (lambda c: c["voice"].update(enabled=True), ["olabilecekler: false", "bulunan: true"]),
        (lambda c: c["deployment"].update(host=""), ["en az 1 karakter"]),
        (lambda c: c.pop("routing"), ["routing: bu girdi gerekli"]),
    ],
)
def test_a_wrong_entry_is_explained_in_turkish_too(tmp_path: Path, change: Any, said: list[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        load_model_config(write(tmp_path, change))
    assert refused.value.remedy_tr == "Dosyayı düzeltin."
    assert refused.value.message_tr is not None
    assert refused.value.message_tr.endswith(".")
    for part in said:
        assert part in refused.value.message_tr


def test_sentences_of_an_error_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r'\(found: "red"\)\. Mend the file\.'):
        load_model_config(write(tmp_path, lambda c: c.update(colour="red")))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, lambda c: None)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_model_config(file).name


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "model_config.json"
    file.write_bytes('{\n  "name": "Türk"\n}'.encode("cp1254"))
    with pytest.raises(SettingsError, match=r"line 2 is not UTF-8 \(byte 0xfc\)"):
        load_model_config(file)


def test_a_chat_template_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    file = write(tmp_path, lambda c: c["tokenizer"].update(chat_template="nope.jinja"))
    with pytest.raises(SettingsError, match=r"tokenizer\.chat_template: .*nope\.jinja cannot be read"):
        load_settings({"TURKISH_AI_CONFIG": str(file)})


def test_routing_data_that_is_not_there_is_found_by_the_check(tmp_path: Path) -> None:
    file = write(tmp_path, lambda c: (c["routing"].update(data="nope"), c["tokenizer"].update(chat_template=None)))
    with pytest.raises(SettingsError, match=r"routing\.data: there is no folder .*nope"):
        require_files(load_model_config(file), file)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"name": 1, "name": 2}', '{"a": NaN}'])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "model_config.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"model_config\.json"):
        load_model_config(file)


def test_an_unknown_variable_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"TURKISH_AI_PROT.*TURKISH_AI_PORT"):
        load_settings({"TURKISH_AI_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("LOG_LEVEL", "loud"), ("LANG", "de")]
)
def test_a_wrong_variable_is_named_with_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({f"TURKISH_AI_{name}": value})
    assert f"TURKISH_AI_{name}" in re.findall(r"\w+", str(refused.value))
    assert f"TURKISH_AI_{name}" in str(refused.value.message_tr)
    assert value in str(refused.value)


def test_the_environment_comes_after_the_file_and_before_the_command_line() -> None:
    assert load_settings({}).port == 8000
    assert load_settings({"TURKISH_AI_PORT": "9001"}).port == 9001
    assert load_settings({"TURKISH_AI_PORT": "9001"}, port=9002).port == 9002
    assert load_settings({"TURKISH_AI_PORT": "9001"}, port=None).port == 9001


def test_the_folders_follow_xdg_and_their_own_variables(tmp_path: Path) -> None:
    found = load_settings({"XDG_CACHE_HOME": str(tmp_path / "c"), "TURKISH_AI_DATA_DIR": str(tmp_path / "d")})
    assert found.cache_dir == tmp_path / "c" / "turkish-ai"
    assert found.data_dir == tmp_path / "d"
    assert found.adapters_dir == ROOT / "adapters"


def test_another_base_model_leaves_the_configured_ones_hash_and_names_behind() -> None:
    found = load_settings({"TURKISH_AI_BASE_MODEL": "org/other-1b"})
    assert found.base_model_sha256 is None
    assert found.base_model_names == ("other-1b",)
    assert load_settings({}).base_model_names[0] == "gemma-3-270m"


def test_a_key_is_not_shown_when_settings_are_printed() -> None:
    found = load_settings({"TURKISH_AI_ADMIN_KEY": "çok-gizli"})
    assert "gizli" not in repr(found)
    assert found.admin_key is not None
    assert found.admin_key.get_secret_value() == "çok-gizli"
