"""Training: it learns, it can be interrupted anywhere, and it knows its own result again."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.training.conftest import Watcher, Workshop, recipe
from turkish_ai.errors import DataError, SettingsError
from turkish_ai.messages import Message
from turkish_ai.training.report import TrainingStopped
from turkish_ai.training.trainer import _Training


def weights(workshop: Workshop) -> dict[str, torch.Tensor]:
    return load_file(workshop.adapter / "adapter_model.safetensors")


def assert_same_weights(one: Workshop, other: Workshop) -> None:
    expected, found = weights(one), weights(other)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def stop_at(step: int, stop: Event) -> Watcher:
    return Watcher(at_step=lambda now: stop.set() if now.step == step else None)


@pytest.mark.parametrize(("family", "precision"), [("gemma3", "fp32"), ("gemma3", "bf16"), ("llama", "fp32")])
def test_the_loss_falls(workshops: Callable[..., Workshop], family: str, precision: str) -> None:
    report = workshops(family=family).train(recipe(epochs=6, dropout=0.0, precision=precision))
    assert report.epochs[-1].train < 0.5 * report.epochs[0].train
    assert report.outcome == "trained"
    assert report.kept_epoch == 6
    assert dict(report.examples) == {"train": 12, "dev": 6, "test": 3}


def test_progress_counts_steps_epochs_and_what_is_left(workshop: Workshop) -> None:
    watcher = Watcher()
    workshop.train(progress=watcher)
    steps = [step.step for step in watcher.steps]
    assert steps == list(range(1, watcher.started[0][1] + 1))
    assert {step.epoch for step in watcher.steps} == {1, 2}
    assert watcher.steps[-1].eta_s == 0
    assert watcher.steps[0].eta_s > 0
    assert [report.outcome for report in watcher.ended] == ["trained"]


@pytest.mark.parametrize(
    ("interrupted_at", "precision"),
    [(1, "fp32"), (3, "bf16"), (-1, "fp32")],
    ids=["first step", "mid-epoch, bf16", "before the last evaluation"],
)
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    workshops: Callable[..., Workshop], interrupted_at: int, precision: str
) -> None:
    whole, broken = workshops("whole"), workshops("broken")
    watcher = Watcher()
    lora = recipe(precision=precision)
    expected = whole.train(lora, progress=watcher)
    step = interrupted_at if interrupted_at > 0 else watcher.steps[-1].step
    stop = Event()
    with pytest.raises(TrainingStopped) as stopped:
        broken.train(lora, progress=stop_at(step, stop), stop=stop)
    assert (stopped.value.step, stopped.value.steps) == (step, watcher.steps[-1].step)
    assert not broken.adapter.exists()
    torch.manual_seed(999)  # a new process starts with another state
    continued = Watcher()
    found = broken.train(lora, progress=continued)
    assert continued.started == [(step, watcher.steps[-1].step)]
    assert found.epochs == expected.epochs
    assert found.base_dev_loss == expected.base_dev_loss
    assert_same_weights(whole, broken)


def test_a_killed_run_goes_on_from_its_last_epoch(
    workshops: Callable[..., Workshop], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = workshops("whole"), workshops("broken")
    whole.train()
    steps_an_epoch: list[int] = []

    def die(self: _Training, indices: object, *, alive: Callable[..., None] = _Training._take_step) -> None:
        if len(self.curves) == 1:
            steps_an_epoch.append(self._step)
            raise MemoryError
        alive(self, indices)

    with monkeypatch.context() as patch:
        patch.setattr(_Training, "_take_step", die)
        with pytest.raises(MemoryError):
            broken.train()
    watcher = Watcher()
    broken.train(progress=watcher)
    assert watcher.started[0][0] == steps_an_epoch[0] > 0
    assert_same_weights(whole, broken)


def test_a_run_stopped_before_its_first_step_starts_anew(workshop: Workshop) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(TrainingStopped):
        workshop.train(stop=stop)
    assert not workshop.work_dir.exists()


def test_a_stopped_run_ends_a_command_as_ctrl_c_does() -> None:
    assert issubclass(TrainingStopped, KeyboardInterrupt)


def test_a_finished_run_is_recognised_and_not_repeated(workshop: Workshop) -> None:
    first = workshop.train()
    watcher = Watcher()
    second = workshop.train(progress=watcher)
    assert watcher.steps == []
    assert second.outcome == "already_trained"
    assert second.weights_sha256 == first.weights_sha256
    assert [loss.train for loss in second.epochs] == pytest.approx([loss.train for loss in first.epochs], abs=1e-6)
    assert list(workshop.work_dir.iterdir()) == []


@pytest.mark.parametrize("change", [{"learning_rate": 0.005}, {"seed": 6}, {"precision": "bf16"}])
def test_another_recipe_is_another_training(workshop: Workshop, change: dict[str, Any]) -> None:
    workshop.train()
    assert workshop.train(recipe(**change)).outcome == "trained"


def test_other_data_is_another_training(workshop: Workshop) -> None:
    workshop.train()
    first, *rest = workshop.dataset.examples
    question, *answer = first.messages
    changed = dataclasses.replace(first, messages=(dataclasses.replace(question, content="Başka bir soru?"), *answer))
    dataset = dataclasses.replace(workshop.dataset, examples=(changed, *rest))
    assert workshop.train(dataset=dataset).outcome == "trained"


def test_a_file_that_changed_only_where_training_does_not_look_is_the_same_training(workshop: Workshop) -> None:
    workshop.train()
    other_file = dataclasses.replace(workshop.dataset, sha256="0" * 64)
    assert workshop.train(dataset=other_file).outcome == "already_trained"


def test_altered_weights_are_not_taken_for_a_finished_run(workshop: Workshop) -> None:
    workshop.train()
    file = workshop.adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert workshop.train().outcome == "trained"


def test_force_trains_again_from_the_beginning(workshop: Workshop) -> None:
    first = workshop.train()
    watcher = Watcher()
    again = workshop.train(force=True, progress=watcher)
    assert watcher.started[0][0] == 0
    assert again.outcome == "trained"
    assert again.weights_sha256 == first.weights_sha256


def test_force_leaves_aside_what_an_interrupted_run_without_it_reached(workshop: Workshop) -> None:
    stop = Event()
    with pytest.raises(TrainingStopped):
        workshop.train(progress=stop_at(2, stop), stop=stop)
    watcher = Watcher()
    workshop.train(force=True, progress=watcher)
    assert watcher.started[0][0] == 0


def test_an_interrupted_run_with_force_goes_on_with_the_same_call(workshop: Workshop) -> None:
    first = workshop.train()
    stop = Event()
    with pytest.raises(TrainingStopped):
        workshop.train(force=True, progress=stop_at(2, stop), stop=stop)
    watcher = Watcher()
    again = workshop.train(force=True, progress=watcher)
    assert watcher.started[0][0] == 2
    assert again.weights_sha256 == first.weights_sha256
    last = Watcher()
    workshop.train(force=True, progress=last)
    assert last.started[0][0] == 0, "it ended, so nothing is left to go on with"


def test_force_trains_where_the_checkpoint_cannot_be_read(workshop: Workshop) -> None:
    workshop.work_dir.mkdir()
    (workshop.work_dir / "checkpoint.pt").write_bytes(b"nonsense")
    assert workshop.train(force=True).outcome == "trained"


def test_a_folder_that_cannot_be_served_is_not_a_finished_run(workshop: Workshop) -> None:
    workshop.train()
    (workshop.adapter / "adapter_config.json").unlink()
    assert workshop.train().outcome == "trained"
    assert (workshop.adapter / "adapter_config.json").is_file()


def test_the_state_of_another_recipe_is_left_aside_and_said(workshop: Workshop) -> None:
    stop = Event()
    with pytest.raises(TrainingStopped):
        workshop.train(progress=stop_at(2, stop), stop=stop)
    watcher = Watcher()
    workshop.train(recipe(rank=2), progress=watcher)
    assert watcher.started[0][0] == 0
    assert any("starts anew" in note for note in watcher.notes)


def test_a_checkpoint_that_is_not_ours_is_an_error_and_not_run(workshop: Workshop) -> None:
    workshop.work_dir.mkdir()
    (workshop.work_dir / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=r"checkpoint\.pt: cannot be read"):
        workshop.train()


def test_early_stopping_keeps_the_best_epoch_and_ends_soon_after_it(
    workshops: Callable[..., Workshop], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([9.0, 3.0, 2.0, 4.0, 5.0, 1.0])  # the base model's first
    monkeypatch.setattr(_Training, "_evaluate", lambda self: next(losses))
    stopped = workshops("stopped")
    report = stopped.train(recipe(epochs=5), early_stopping=True)
    assert (report.kept_epoch, len(report.epochs)) == (2, 4)
    losses = iter([9.0, 3.0, 2.0, 4.0, 5.0, 1.0])
    last = workshops("last")
    assert last.train(recipe(epochs=5)).kept_epoch == 5
    assert not all(torch.equal(weights(stopped)[name], tensor) for name, tensor in weights(last).items())


def test_a_lost_loss_ends_the_training_with_what_to_do(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "turkish_ai.training.trainer.learning_rate_ratio", lambda step, *, steps, warmup_ratio: float("inf")
    )
    with pytest.raises(SettingsError, match=r"diverged at step 2.*Lower lora\.learning_rate"):
        workshop.train()
    assert not workshop.adapter.exists()


def test_an_example_longer_than_the_model_reads_is_named(workshop: Workshop) -> None:
    example = workshop.dataset.split("train")[0]
    long = dataclasses.replace(
        example, messages=(Message(role="user", content="Soru? " * 400), Message(role="assistant", content="Yanıt."))
    )
    dataset = dataclasses.replace(workshop.dataset, examples=(long, *workshop.dataset.examples[1:]))
    with pytest.raises(DataError, match=f"example '{example.id}' has .* the base model reads 512"):
        workshop.train(dataset=dataset)


def test_a_module_that_the_model_lacks_is_named(workshop: Workshop) -> None:
    with pytest.raises(SettingsError, match="'c_attn'") as refused:
        workshop.train(recipe(target_modules=("q_proj", "c_attn")))
    assert "'c_attn'" in str(refused.value.message_tr)


def test_the_checkpoint_holds_tensors_and_numbers_alone(workshop: Workshop) -> None:
    stop = Event()
    with pytest.raises(TrainingStopped):
        workshop.train(progress=stop_at(2, stop), stop=stop)
    files = list(Path(workshop.work_dir).iterdir())
    assert [file.name for file in files] == ["checkpoint.pt"]
    assert torch.load(files[0], weights_only=True)["step"] == 2
