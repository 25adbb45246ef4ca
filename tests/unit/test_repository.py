"""What the repository says of itself is true: configuration, schema, variables, commands, links, paths.

`make check` runs this file alone, so it imports nothing slow.
"""

import json
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command

from turkish_ai import __version__
from turkish_ai.base_model.gguf_package import PREPARATION_BYTES
from turkish_ai.cli.application import build_app
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.terminal import Terminal
from turkish_ai.errors import SettingsError
from turkish_ai.settings import load_model_config, load_settings, model_config_schema

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "model_config.json"
SCHEMA = ROOT / "configs" / "model_config.schema.json"

Config = dict[str, Any]


def repository_files() -> list[Path]:
    """Those that are, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so nobody can say which files are the repository's")
    return [ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name and (ROOT / name).is_file()]


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").glob("*.md")])


def by_name(file: Path) -> str:
    return str(file.relative_to(ROOT))


# --- the configuration ----------------------------------------------------------------------------------------------


def test_the_schema_is_the_one_that_the_code_makes() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == model_config_schema(), (
        "turkish-ai config schema > configs/model_config.schema.json"
    )


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_the_configuration_fits_its_schema_and_names_it() -> None:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    jsonschema.validate(config, json.loads(model_config_schema()))
    assert (CONFIG.parent / config["$schema"]).resolve() == SCHEMA


def test_the_configurations_version_is_the_packages() -> None:
    assert json.loads(CONFIG.read_text(encoding="utf-8"))["version"] == __version__


def test_the_disk_that_the_doctor_asks_for_is_what_the_preparation_needs() -> None:
    needed_mib = math.ceil(PREPARATION_BYTES / 2**20)
    asked_mib = json.loads(CONFIG.read_text(encoding="utf-8"))["hardware"]["min_disk_mib"]
    assert needed_mib <= asked_mib <= 1.2 * needed_mib


WRONG: list[tuple[str, Callable[[Config], Any], str, str, str]] = [
    # what is wrong, how, and what the error names: the path, the value, what is allowed
    (
        "an adapter outside its folder",
        lambda c: c["sectors"][0].update(adapter="../x"),
        "sectors.0.adapter",
        "../x",
        "pattern",
    ),
    ("no host", lambda c: c["deployment"].update(host=""), "deployment.host", '""', "at least 1 character"),
    (
        "no target modules",
        lambda c: c["lora"].update(target_modules=[]),
        "lora.target_modules",
        "[]",
        "at least 1 item",
    ),
    ("an unknown entry", lambda c: c.update(colour="red"), "colour", '"red"', "unknown entry"),
    ("an unknown entry inside", lambda c: c["lora"].update(ranks=8), "lora.ranks", "8", "unknown entry"),
    ("a missing entry", lambda c: c["lora"].pop("rank"), "lora.rank", "", "required"),
    ("a text for a number", lambda c: c["lora"].update(rank="8"), "lora.rank", '"8"', "integer"),
    ("a number for a text", lambda c: c.update(name=7), "name", "7", "string"),
    (
        "a fraction for a count",
        lambda c: c["inference"]["embedded"].update(max_batch=1.5),
        "max_batch",
        "1.5",
        "integer",
    ),
    ("too small", lambda c: c["inference"]["embedded"].update(max_batch=0), "inference.embedded.max_batch", "0", "1"),
    ("too large", lambda c: c["inference"]["defaults"].update(temperature=3), "defaults.temperature", "3", "2"),
    (
        "a port out of range",
        lambda c: c["deployment"].update(http_port=70000),
        "deployment.http_port",
        "70000",
        "65535",
    ),
    ("a word that is none of those known", lambda c: c["lora"].update(precision="int4"), "precision", '"int4"', "bf16"),
    ("a hash that is none", lambda c: c["base_model"].update(sha256="abc"), "base_model.sha256", '"abc"', "[0-9a-f]"),
    ("a version that is none", lambda c: c.update(version="one"), "version", '"one"', "pattern"),
    ("an unknown sector", lambda c: c["sectors"][3].update(id="cooking"), "sectors.3.id", '"cooking"', "legal"),
    ("null where none is allowed", lambda c: c["routing"].update(data=None), "routing.data", "null", "string"),
    ("voice, which there is not", lambda c: c["voice"].update(enabled=True), "voice.enabled", "true", "be false"),
]


@pytest.mark.parametrize(("spoil", "path", "value", "allowed"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_entry_is_refused_by_the_server_and_by_the_schema_alike(
    tmp_path: Path, spoil: Callable[[Config], Any], path: str, value: str, allowed: str
) -> None:
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    spoil(config)
    file = tmp_path / "model_config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_model_config(file)
    for part in (str(file), path, value, allowed):
        assert part in str(refused.value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, json.loads(model_config_schema()))


# --- the documents --------------------------------------------------------------------------------------------------

VARIABLE = re.compile(r"\bTURKISH_AI_[A-Z_]*[A-Z]\b")
SPEAKS_OF_VARIABLES = (".md", ".yml", ".yaml", ".toml", ".sh")


def test_every_variable_that_is_named_exists() -> None:
    places = [file for file in repository_files() if file.suffix in SPEAKS_OF_VARIABLES or file.name == "Makefile"]
    named = {name: by_name(file) for file in places for name in VARIABLE.findall(file.read_text(encoding="utf-8"))}
    for name, file in named.items():
        assert is_known(name), f"{file} names {name}"


def is_known(variable: str) -> bool:
    try:
        load_settings({variable: "1"})
    except SettingsError as error:
        return "Unknown environment variable" not in str(error)
    return True


@pytest.mark.parametrize("document", documents(), ids=by_name)
def test_the_relative_links_of_a_document_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:|#", target):
            continue
        assert (document.parent / target.partition("#")[0]).exists(), f"{by_name(document)} links to {target}"


@pytest.mark.parametrize("document", documents(), ids=by_name)
def test_the_make_targets_of_a_document_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for target in re.findall(r"(?:^|`)make ([a-z]+)\b", document.read_text(encoding="utf-8"), flags=re.MULTILINE):
        assert target in targets, f"{by_name(document)} says make {target}"


@pytest.mark.parametrize("document", documents(), ids=by_name)
def test_the_commands_of_a_document_exist(document: Path) -> None:
    commands = get_command(build_app(Terminal(Speaker("en")))).commands  # type: ignore[attr-defined]  # a group
    said = re.findall(r"(?:^|[`/| ])turkish-ai ([a-z]+)\b", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for command in said:
        assert command in commands, f"{by_name(document)} says turkish-ai {command}"


# --- the files ------------------------------------------------------------------------------------------------------

HOME_PATH = re.compile(r"/(?:home|Users|root)/[A-Za-z0-9._-]+|[A-Z]:\\Users\\")


def test_no_file_holds_the_path_of_somebodys_home() -> None:
    found = []
    for file in repository_files():
        content = file.read_bytes()
        if b"\0" in content[:8192]:
            continue
        found += [f"{by_name(file)}: {path}" for path in HOME_PATH.findall(content.decode("utf-8", errors="replace"))]
    assert found == []


def test_text_files_are_utf_8_and_end_with_a_line() -> None:
    for file in repository_files():
        content = file.read_bytes()
        if not content or b"\0" in content[:8192]:
            continue
        content.decode("utf-8")
        assert content.endswith(b"\n"), by_name(file)
        assert b"\r\n" not in content, by_name(file)


def test_the_workflow_pins_every_action_to_a_commit() -> None:
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for used in re.findall(r"uses:\s*(\S+)", workflow.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), f"{workflow.name} uses {used}"
