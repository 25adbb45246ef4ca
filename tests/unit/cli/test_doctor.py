"""Every finding of the doctor, from facts that a test made up, and the remedy that goes with it."""

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.chat_server import ChatServer
from turkish_ai.cli import main
from turkish_ai.cli.doctor import Finding, judge
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.machine import (
    AdapterFacts,
    BaseModelFacts,
    Facts,
    FolderFacts,
    PortFacts,
    ProjectFacts,
    RouterFacts,
    TorchFacts,
    look_at_folder,
    look_at_port,
    needed_memory_mib,
)
from turkish_ai.errors import AdapterNotFound, AdapterRefused, BaseModelUnavailable, DataError, SettingsError
from turkish_ai.settings import load_settings

PROJECT = ProjectFacts(
    config_path=Path("/p/configs/model_config.json"),
    needed_memory_mib=4096,
    min_disk_mib=4096,
    cache=FolderFacts(path=Path("/c"), closed=None, free_mib=50_000),
    data=FolderFacts(path=Path("/d"), closed=None, free_mib=50_000),
    base_model=BaseModelFacts(source="pypi:x==1", path=Path("/c/base")),
    adapters=(AdapterFacts(sector="ecommerce", version="0123456789ab", proven=True, error=None),),
    router=RouterFacts(version="ba9876543210"),
    port=PortFacts(host="127.0.0.1", port=8000, state="free"),
)
HEALTHY = Facts(
    python=(3, 11, 7),
    memory_mib=16_000,
    memory_available_mib=12_000,
    has_gpu=False,
    torch=TorchFacts(version="2.13.0+cpu", cuda=None),
    settings_error=None,
    project=PROJECT,
)


def project(**changed: Any) -> Facts:
    return replace(HEALTHY, project=replace(PROJECT, **changed))


def test_a_healthy_machine_has_no_warning() -> None:
    findings = judge(HEALTHY, Speaker("en"))
    assert {finding.level for finding in findings} == {"ok"}
    assert [finding.check for finding in findings] == [
        "python",
        "torch",
        "configuration",
        "memory",
        "cache",
        "data",
        "base_model",
        "router",
        "adapter.ecommerce",
        "port",
    ]


REFUSED = AdapterRefused("ecommerce: r is 0.", remedy="Train it again.")
ABSENT = AdapterNotFound("not there", remedy="x")

CASES: list[tuple[str, Facts, str, str, str, str]] = [
    # name, facts, check, level, in the text, in the English remedy
    ("old python", replace(HEALTHY, python=(3, 10, 2)), "python", "problem", "3.10.2", "3.11"),
    ("new python", replace(HEALTHY, python=(3, 15, 0)), "python", "warning", "3.15.0", "3.13"),
    ("no torch", replace(HEALTHY, torch=None), "torch", "problem", "torch", "make setup"),
    (
        "a CUDA build without a GPU",
        replace(HEALTHY, torch=TorchFacts(version="2.13.0", cuda="13.0")),
        "torch",
        "warning",
        "13.0",
        "CPU",
    ),
    ("little memory", replace(HEALTHY, memory_mib=2_000), "memory", "problem", "4,096", "kv_cache_mib"),
    ("memory in use", replace(HEALTHY, memory_available_mib=1_000), "memory", "warning", "1,000", "Close"),
    (
        "a closed cache",
        project(cache=FolderFacts(path=Path("/c"), closed="Permission denied", free_mib=9_000)),
        "cache",
        "problem",
        "Permission denied",
        "TURKISH_AI_CACHE_DIR",
    ),
    (
        "a full disk before the first start",
        project(
            cache=FolderFacts(path=Path("/c"), closed=None, free_mib=100), base_model=BaseModelFacts(source="pypi:x==1")
        ),
        "cache",
        "problem",
        "4,096",
        "TURKISH_AI_CACHE_DIR",
    ),
    (
        "a closed data folder",
        project(data=FolderFacts(path=Path("/d"), closed="Read-only file system", free_mib=9_000)),
        "data",
        "problem",
        "Read-only",
        "TURKISH_AI_DATA_DIR",
    ),
    (
        "no base model",
        project(base_model=BaseModelFacts(source="pypi:x==1")),
        "base_model",
        "warning",
        "pypi:x==1",
        "turkish-ai setup",
    ),
    (
        "an altered base model",
        project(base_model=BaseModelFacts(source="x", path=Path("/c/base"), altered=("model.safetensors",))),
        "base_model",
        "problem",
        "model.safetensors",
        "Delete /c/base",
    ),
    (
        "a base model that is none",
        project(base_model=BaseModelFacts(source="x", error=BaseModelUnavailable("no config.json", remedy="Mend it."))),
        "base_model",
        "problem",
        "no config.json",
        "Mend it.",
    ),
    ("no router", project(router=RouterFacts()), "router", "warning", "not built", "router build"),
    (
        "routing data that cannot be used",
        project(router=RouterFacts(error=DataError("line 3", remedy="Mend line 3."))),
        "router",
        "problem",
        "line 3",
        "Mend line 3.",
    ),
    ("no adapters", project(adapters=()), "adapters", "warning", "No sector", "train --all"),
    (
        "a lost adapter",
        project(adapters=(AdapterFacts(sector="legal", version=None, proven=True, error=ABSENT),)),
        "adapter.legal",
        "problem",
        "legal",
        "train legal",
    ),
    (
        "a refused adapter",
        project(adapters=(AdapterFacts(sector="ecommerce", version="x", proven=True, error=REFUSED),)),
        "adapter.ecommerce",
        "problem",
        "r is 0",
        "Train it again.",
    ),
    (
        "a taken port",
        project(port=PortFacts(host="127.0.0.1", port=8000, state="taken")),
        "port",
        "problem",
        "127.0.0.1:8000",
        "--port",
    ),
    (
        "an address of another machine",
        project(port=PortFacts(host="192.0.2.1", port=8000, state="unusable", detail="Cannot assign")),
        "port",
        "problem",
        "Cannot assign",
        "--host",
    ),
]


@pytest.mark.parametrize(
    ("facts", "check", "level", "said", "remedy"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_amiss_is_found_with_its_remedy_in_both_languages(
    facts: Facts, check: str, level: str, said: str, remedy: str
) -> None:
    english = found(judge(facts, Speaker("en")), check)
    assert english.level == level
    assert said in english.text
    assert english.remedy is not None
    assert remedy in english.remedy
    turkish = found(judge(facts, Speaker("tr")), check)
    assert turkish.level == level
    assert turkish.remedy
    assert turkish.remedy != english.remedy
    others = [finding for finding in judge(facts, Speaker("en")) if finding.check != check]
    assert {finding.level for finding in others} == {"ok"} or check == "cache"


def found(findings: list[Finding], check: str) -> Finding:
    (one,) = [finding for finding in findings if finding.check == check]
    return one


def test_a_cuda_build_with_a_gpu_is_as_it_should_be() -> None:
    facts = replace(HEALTHY, torch=TorchFacts(version="2.13.0", cuda="13.0"), has_gpu=True)
    assert found(judge(facts, Speaker("en")), "torch").level == "ok"


def test_a_full_disk_does_not_matter_once_the_base_model_is_there() -> None:
    facts = project(cache=FolderFacts(path=Path("/c"), closed=None, free_mib=10))
    assert found(judge(facts, Speaker("en")), "cache").level == "ok"


def test_memory_that_our_own_server_uses_is_no_warning() -> None:
    ours = PortFacts(host="127.0.0.1", port=8000, state="ours", detail="0.1.0")
    facts = replace(project(port=ours), memory_available_mib=1_000)
    assert {finding.level for finding in judge(facts, Speaker("en"))} == {"ok"}


def test_an_adapter_that_could_not_be_proven_says_so() -> None:
    facts = project(adapters=(AdapterFacts(sector="legal", version="0" * 12, proven=False, error=None),))
    assert "cannot be checked whole" in found(judge(facts, Speaker("en")), "adapter.legal").text


def test_settings_that_cannot_be_read_end_the_examination_with_the_reason() -> None:
    error = SettingsError("TURKISH_AI_PROT is unknown.", remedy="Known: ...")
    findings = judge(replace(HEALTHY, settings_error=error, project=None), Speaker("en"))
    assert [finding.check for finding in findings] == ["python", "torch", "configuration"]
    assert findings[-1].level == "problem"
    assert "TURKISH_AI_PROT" in findings[-1].text


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("isolated")
def test_the_command_exits_with_1_on_a_problem_and_tells_machines_in_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TURKISH_AI_DATA_DIR", str(tmp_path / "file"))
    monkeypatch.setenv("TURKISH_AI_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TURKISH_AI_PORT", "0")
    assert main(["doctor", "--json"]) == 1
    findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["data"]["level"] == "problem"
    assert findings["python"]["level"] == "ok"
    assert main(["--lang", "tr", "doctor"]) == 1
    out = capsys.readouterr().out
    assert "✗ Veri klasörüne yazılamıyor" in out
    assert "  çözüm: " in out


@pytest.mark.usefixtures("isolated")
def test_the_command_survives_settings_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURKISH_AI_PROT", "1")
    assert main(["doctor"]) == 1
    assert "TURKISH_AI_PROT" in capsys.readouterr().out


def test_a_wrong_setting_and_a_wrong_base_model_are_told_in_turkish() -> None:
    error = SettingsError("X is wrong.", remedy="Mend it.", message_tr="X yanlış.", remedy_tr="Düzeltin.")
    finding = judge(replace(HEALTHY, settings_error=error, project=None), Speaker("tr"))[-1]
    assert (finding.text, finding.remedy) == ("X yanlış.", "Düzeltin.")
    model = BaseModelUnavailable("no config.json", remedy="Mend it.", message_tr="config.json yok")
    facts = project(base_model=BaseModelFacts(source="x", error=model))
    finding = found(judge(facts, Speaker("tr")), "base_model")
    assert finding.text == "config.json yok"
    assert finding.remedy is not None
    assert "TURKISH_AI_BASE_MODEL" in finding.remedy


def test_less_key_value_memory_needs_less_memory() -> None:
    config = load_settings({}).config
    embedded = config.inference.embedded.model_copy(update={"kv_cache_mib": 1})
    smaller = config.model_copy(update={"inference": config.inference.model_copy(update={"embedded": embedded})})
    assert needed_memory_mib(config) == 4096
    assert needed_memory_mib(smaller) == 3073


# --- looking --------------------------------------------------------------------------------------------------------


def test_a_folder_is_looked_at_and_not_made(tmp_path: Path) -> None:
    assert look_at_folder(tmp_path).closed is None
    assert look_at_folder(tmp_path / "a" / "b").closed is None
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    assert look_at_folder(tmp_path / "file").closed == f"{tmp_path / 'file'} is a file"
    assert look_at_folder(tmp_path / "file" / "below").closed == f"{tmp_path / 'file'} is a file"


def test_a_port_is_free_taken_ours_or_unusable(chat_server: ChatServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silent.listen(0)
        assert look_at_port("127.0.0.1", port, patience_s=0.2).state == "taken"
    assert look_at_port("127.0.0.1", port).state == "free"
    ours = look_at_port("127.0.0.1", int(chat_server.url.rpartition(":")[2]))
    assert (ours.state, ours.detail) == ("ours", "9.9.9")
    assert look_at_port("192.0.2.1", 8000).state == "unusable"
    assert look_at_port("nowhere.invalid", 8000).state == "unusable"
    assert look_at_port("127.0.0.1", 0).state == "free"
