"""What training writes: PEFT and the engine read it, nothing of the machine is in it, and it is whole or not there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.unit.training.conftest import FINGERPRINT, MODULES, SECTOR, Watcher, Workshop, recipe
from turkish_ai.engines.adapters import AdapterRules, content_sha256, read_adapter
from turkish_ai.messages import AdapterRef
from turkish_ai.training import adapter_folder, durable_files
from turkish_ai.training.loss_chart import loss_chart
from turkish_ai.training.notice import notice
from turkish_ai.training.report import EpochLoss

FILES = {"adapter_model.safetensors", "adapter_config.json", "turkish_ai.json", "loss.svg", "NOTICE"}


def base_model(workshop: Workshop) -> Any:
    return AutoModelForCausalLM.from_pretrained(workshop.base, dtype=torch.float32)


@pytest.mark.parametrize("family", ["gemma3", "llama"])
def test_peft_loads_the_adapter_and_it_changes_the_logits(workshops: Callable[..., Workshop], family: str) -> None:
    workshop = workshops(family=family)
    report = workshop.train()
    tokens = torch.tensor([workshop.encoder.encode_example(workshop.dataset.examples[0].messages).token_ids])
    with torch.no_grad():
        before = base_model(workshop)(tokens).logits
        loaded = PeftModel.from_pretrained(base_model(workshop), workshop.adapter)
        after = loaded(tokens).logits
    assert (after - before).abs().max() > 0.1
    stored = load_file(workshop.adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert len(stored) == 2 * 7 * 4  # A and B of seven modules in four layers
    assert report.weights_bytes == (workshop.adapter / "adapter_model.safetensors").stat().st_size


def test_the_engine_takes_the_adapter_and_refuses_it_on_another_base(workshop: Workshop) -> None:
    workshop.train()
    shapes = {
        name: (module.in_features, module.out_features)
        for name, module in base_model(workshop).named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    ref = AdapterRef(name=SECTOR, sha256=content_sha256(workshop.adapter), path=workshop.adapter)
    rules = AdapterRules(base_names=("tiny",), base_fingerprint=FINGERPRINT, shapes=shapes, max_rank=64)
    found = read_adapter(ref, rules)
    assert found.rank == 4
    assert {name.rpartition(".")[2] for name in found.modules} == set(MODULES)
    other = AdapterRules(base_names=("tiny",), base_fingerprint="0" * 64, shapes=shapes, max_rank=64)
    with pytest.raises(Exception, match="fingerprint"):
        read_adapter(ref, other)


def test_the_folder_names_the_base_model_and_no_path_of_this_machine(workshop: Workshop) -> None:
    workshop.train(base_name="gemma-3-270m")
    assert {file.name for file in workshop.adapter.iterdir()} == FILES
    config = json.loads((workshop.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "gemma-3-270m"
    assert config["target_modules"] == sorted(MODULES)
    assert (config["r"], config["lora_alpha"], config["bias"], config["task_type"]) == (4, 8, "none", "CAUSAL_LM")
    for file in workshop.adapter.iterdir():
        content = file.read_bytes()
        for folder in (workshop.root, workshop.base, Path.cwd(), Path.home()):
            assert str(folder).encode() not in content, file.name


def test_the_card_says_how_the_adapter_was_made(workshop: Workshop) -> None:
    report = workshop.train()
    card = json.loads((workshop.adapter / "turkish_ai.json").read_text(encoding="utf-8"))
    assert card["sector"] == SECTOR
    assert card["base_fingerprint"] == FINGERPRINT
    assert card["weights_sha256"] == report.weights_sha256
    assert card["data_sha256"] == workshop.dataset.sha256
    assert card["seed"] == card["recipe"]["seed"] == 5
    assert card["examples"] == {"train": 12, "dev": 6, "test": 3}
    assert card["epochs"] == len(card["train_loss"]) == len(card["dev_loss"]) == 2
    assert card["base_dev_loss"] == pytest.approx(report.base_dev_loss, abs=1e-6)
    assert set(card["versions"]) == {"torch", "transformers", "peft"}
    assert card["created"].endswith("+00:00")
    assert card["seconds"] > 0


def test_the_same_recipe_gives_the_same_bytes_of_both_peft_files(workshops: Callable[..., Workshop]) -> None:
    one, other = workshops("one"), workshops("other")
    one.train()
    other.train()
    assert content_sha256(one.adapter) == content_sha256(other.adapter)


@pytest.mark.parametrize("trained_before", [False, True])
def test_an_interrupted_write_leaves_no_half_adapter(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, trained_before: bool
) -> None:
    before = content_sha256(workshop.adapter) if trained_before and workshop.train() else None

    def fail(*args: object, **kwargs: object) -> str:
        raise OSError(28, "No space left on device")

    # The weights and the first files lie in the staging folder when this one fails.
    monkeypatch.setattr(durable_files, "sync_file", lambda path: fail() if path.name == "NOTICE" else None)
    with pytest.raises(OSError, match="No space left"):
        workshop.train(recipe(learning_rate=0.002))
    assert [file.name for file in workshop.adapter.parent.iterdir()] == ([SECTOR] if trained_before else [])
    assert (content_sha256(workshop.adapter) if trained_before else None) == before


def test_after_a_failed_write_the_same_command_writes_without_training_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(adapter_folder, "loss_chart", fail)
        with pytest.raises(OSError, match="No space left"):
            workshop.train()
    watcher = Watcher()
    assert workshop.train(progress=watcher).outcome == "trained"
    assert watcher.steps == []


def test_what_a_killed_process_left_is_swept_by_the_next_write(workshop: Workshop) -> None:
    workshop.train()
    left = workshop.adapter.with_name(f".{SECTOR}.abc123.partial")
    shutil.copytree(workshop.adapter, left)
    neighbour = workshop.adapter.with_name(".legal.abc123.partial")
    neighbour.mkdir()
    workshop.train(force=True)
    assert not left.exists()
    assert neighbour.exists()


def test_gemma_adapters_carry_gemmas_notice_and_others_do_not(workshops: Callable[..., Workshop]) -> None:
    gemma, llama = workshops("g"), workshops("l", family="llama")
    gemma.train(base_name="gemma-3-270m")
    llama.train()
    assert "subject to the Gemma Terms of Use found at" in (gemma.adapter / "NOTICE").read_text(encoding="utf-8")
    assert "Gemma" not in (llama.adapter / "NOTICE").read_text(encoding="utf-8")
    assert "modify" in notice(base_name="x", model_type="gemma3_text", sector=SECTOR)


def test_the_chart_is_a_drawing_of_both_curves() -> None:
    epochs = [EpochLoss(train=2.0 / n, dev=3.0 / n) for n in range(1, 31)]
    text = loss_chart("a < b", base_dev_loss=4.0, epochs=epochs, kept_epoch=30)
    drawn = ElementTree.fromstring(text)  # noqa: S314  # our own text, made in the line above
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [30, 31]
    assert drawn.findtext("{http://www.w3.org/2000/svg}title") == "a < b"
