"""Train one sector's adapter, from checked examples to a folder that can be served.

Called by `training.sectors`. Knows nothing of settings files, signals or terminals: it is handed the recipe, an event
that asks it to stop, and whoever wants to hear about progress.

The facts of a sector live in its training families and dev asks about others, so dev loss says whether the answers
still sound right and not whether they are known: it may rise while known questions are answered better. Therefore the
last epoch is kept unless early stopping is asked for, and both curves are kept with the adapter.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from threading import Event
from typing import Any

import peft
import torch
import transformers
from torch import Tensor

from turkish_ai.base_model import Words
from turkish_ai.errors import DataError, SettingsError
from turkish_ai.grounding.teaching import Conversation, Teach, grounded
from turkish_ai.prompts import IGNORED_LABEL, PromptEncoder, TrainingExample
from turkish_ai.sector_data import SPLITS, SectorDataset, SectorExample
from turkish_ai.settings import LoraConfig
from turkish_ai.training.adapter_folder import write_adapter
from turkish_ai.training.answer_loss import (
    Candidates,
    answer_loss,
    check_equals_transformers,
    count_labels,
    opening_weights,
)
from turkish_ai.training.batches import collate, plan_epoch, plan_evaluation
from turkish_ai.training.card import TrainingRecord, finished_training
from turkish_ai.training.checkpoint import (
    Checkpoint,
    delete_checkpoint,
    has_checkpoint,
    is_of_forced_run,
    load_checkpoint,
    restore_rng_state,
    rng_state,
    save_checkpoint,
)
from turkish_ai.training.lora import (
    add_lora,
    load_base_model,
    lora_parameters,
    lora_weights,
    peft_description,
    restore_lora_weights,
)
from turkish_ai.training.progress import TrainingProgress, TrainingStep, comma
from turkish_ai.training.recipe import (
    EARLY_STOPPING_PATIENCE_EPOCHS,
    Recipe,
    identity,
    learning_rate_ratio,
    make_recipe,
    tokens_sha256,
)
from turkish_ai.training.report import EpochLoss, TrainingReport, TrainingStopped

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def train_adapter(
    *,
    sector: str,
    dataset: SectorDataset,
    model_dir: Path,
    base_name: str,
    base_fingerprint: str,
    encoder: PromptEncoder,
    lora: LoraConfig,
    no_answer: str,
    out_dir: Path,
    work_dir: Path,
    progress: TrainingProgress,
    stop: Event | None = None,
    early_stopping: bool = False,
    force: bool = False,
) -> TrainingReport:
    """Train, or go on with what an interrupted run left in `work_dir`, or find that `out_dir` is the result already.

    `out_dir` becomes the adapter's own folder, at the very end and as a whole. `base_name` is what the adapter says
    it was made for; `no_answer` what a grounded one is taught to say where nothing fits. `force` trains again what
    is trained already, and from the beginning unless what was interrupted had `force` too. Runs on the GPU if torch
    sees one.

    Raises:
        TrainingStopped: `stop` was set; the state is in `work_dir` and `out_dir` is untouched.
        DataError: an example is longer than the model can read, or the checkpoint cannot be read.
        SettingsError: a target module does not exist, or the loss became infinite.
        BaseModelUnavailable, UnsupportedModel: the base model cannot be loaded, or its loss cannot be computed.
    """
    recipe = make_recipe(lora, early_stopping=early_stopping)
    teach = (
        grounded(dataset, no_answer=no_answer, closed_book_ratio=recipe.closed_book_ratio)
        if recipe.grounded
        else _as_it_is
    )
    train, dev = (
        _encode(_with_few_questions(dataset.split(split), recipe.questions_per_answer), encoder, teach)
        for split in ("train", "dev")
    )
    seen = tokens_sha256(list(train.values()), list(dev.values()))
    run_identity = identity(
        recipe,
        sector=sector,
        base_fingerprint=base_fingerprint,
        tokens_sha256=seen,
    )
    if force:
        if not is_of_forced_run(work_dir, identity=run_identity):
            delete_checkpoint(work_dir)
    elif (finished := finished_training(out_dir, identity=run_identity)) is not None:
        progress.sector_ended(finished)
        return finished
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = load_base_model(model_dir, device=device, dtype=_DTYPES[recipe.precision])
    _check_lengths(sector, train | dev, limit_tokens=int(base.config.max_position_embeddings))
    training = _Training(
        sector=sector,
        identity=run_identity,
        recipe=recipe,
        causal_model=base,
        peft_model=add_lora(base, lora, seed=recipe.seed),
        train=list(train.values()),
        dev=list(dev.values()),
        device=device,
        work_dir=work_dir,
        progress=progress,
        stop=stop or Event(),
        forced=force,
    )
    training.run()
    kept = training.kept()
    report = write_adapter(
        out_dir,
        weights=kept.weights,
        peft_config=peft_description(training.peft_model, base_name=base_name),
        record=TrainingRecord(
            identity=run_identity,
            sector=sector,
            base_name=base_name,
            base_fingerprint=base_fingerprint,
            recipe=recipe,
            data_sha256=dataset.sha256,
            tokens_sha256=seen,
            examples={split: len(dataset.split(split)) for split in SPLITS},
            base_dev_loss=training.base_dev_loss,
            epochs=tuple(training.curves),
            kept_epoch=kept.epoch,
            seconds=training.seconds,
            versions={
                "torch": str(torch.__version__),
                "transformers": transformers.__version__,
                "peft": peft.__version__,
            },
            created=datetime.now(UTC),
        ),
        model_type=str(base.config.model_type),
    )
    delete_checkpoint(work_dir)
    progress.sector_ended(report)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """`epoch` counts from 1."""

    epoch: int
    weights: dict[str, Tensor]


class _Training:
    """The walk over the epochs. Between two steps its state is whole, and can be written and taken up again."""

    def __init__(
        self,
        *,
        sector: str,
        identity: str,
        recipe: Recipe,
        causal_model: Any,
        peft_model: Any,
        train: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        device: torch.device,
        work_dir: Path,
        progress: TrainingProgress,
        stop: Event,
        forced: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peft_model = peft_model
        self.curves: list[EpochLoss] = []
        self.base_dev_loss = math.nan
        self._sector = sector
        self._identity = identity
        self._recipe = recipe
        self._causal_model = causal_model
        self._train, self._dev = train, dev
        self._device = device
        self._work_dir = work_dir
        self._progress = progress
        self._stop = stop
        self._forced = forced
        self._clock = clock
        lengths = [len(example.token_ids) for example in train]
        self._plans = [
            plan_epoch(lengths, batch_tokens=recipe.batch_tokens, seed=recipe.seed, epoch=epoch)
            for epoch in range(recipe.epochs)
        ]
        self._first_steps = [0, *accumulate(len(plan) for plan in self._plans)]
        self._dev_plan = plan_evaluation([len(e.token_ids) for e in dev], batch_tokens=recipe.batch_tokens)
        self._candidates = Candidates(
            (label for example in train for label in example.labels if label != IGNORED_LABEL),
            vocabulary=causal_model.lm_head.weight.shape[0],
            sampled=recipe.sampled_tokens,
            seed=recipe.seed,
            device=device,
        )
        self._parameters = lora_parameters(peft_model)
        self._optimizer = torch.optim.AdamW(self._parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self._best: dict[str, Tensor] | None = None
        self._step = 0
        self._epoch_loss, self._epoch_labels = 0.0, 0
        self._seconds_before, self._started_s = 0.0, clock()
        self._steps_before = 0

    @property
    def seconds(self) -> float:
        return self._seconds_before + self._clock() - self._started_s

    @property
    def _steps(self) -> int:
        return self._first_steps[-1]

    def run(self) -> None:
        """Go to the end. Raises TrainingStopped, with the state saved, and SettingsError if the loss is lost."""
        self._take_up()
        self._progress.sector_started(self._sector, step=self._step, steps=self._steps)
        if math.isnan(self.base_dev_loss):
            self._check_loss()
            self.base_dev_loss = self._evaluate()  # LoRA's B is zero: this is the base model
            loss = f"{self.base_dev_loss:.3f}"
            self._progress.note(
                Words(
                    f"loss of the base model on topics that are not taught: {loss}",
                    tr=f"temel modelin öğretilmeyen konulardaki kaybı: {comma(loss)}",
                )
            )
        while len(self.curves) < self._recipe.epochs and not self._stopped_early():
            self._train_epoch(len(self.curves))
            self._end_epoch()

    def kept(self) -> _Kept:
        """The last epoch's weights, or the best one's with early stopping."""
        if self._best is None:
            return _Kept(epoch=len(self.curves), weights=lora_weights(self.peft_model))
        return _Kept(epoch=self._best_epoch() + 1, weights=self._best)

    def _train_epoch(self, epoch: int) -> None:
        self.peft_model.train()
        for indices in self._plans[epoch][self._step - self._first_steps[epoch] :]:
            self._stop_if_asked()
            self._take_step(indices)
            self._progress.step_ended(
                TrainingStep(
                    step=self._step,
                    steps=self._steps,
                    epoch=epoch + 1,
                    epochs=self._recipe.epochs,
                    loss=self._epoch_loss / self._epoch_labels,
                    eta_s=self._eta_s(),
                )
            )

    def _take_step(self, indices: Sequence[int]) -> None:
        batch = collate([self._train[index] for index in indices], device=self._device)
        labels = count_labels(batch)
        ratio = learning_rate_ratio(self._step, steps=self._steps, warmup_ratio=self._recipe.warmup_ratio)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * ratio
        total = answer_loss(
            self._causal_model,
            batch,
            candidates=self._candidates,
            step=self._step,
            weights=opening_weights(
                batch.labels, opening_tokens=self._recipe.opening_tokens, weight=self._recipe.opening_weight
            ),
        )
        torch.autograd.backward(total / labels)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._recipe.max_gradient_norm)
        loss = float(total.detach())
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise SettingsError(
                f"Training of {self._sector} diverged at step {self._step + 1}: the loss is {loss}.",
                remedy=f"Lower lora.learning_rate ({self._recipe.learning_rate}) in configs/model_config.json.",
                message_tr=f"{self._sector} eğitimi {self._step + 1}. adımda ıraksadı: kayıp {loss}.",
                remedy_tr=f"configs/model_config.json dosyasında lora.learning_rate ({self._recipe.learning_rate}) "
                "değerini düşürün.",
            )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._step += 1
        self._epoch_loss += loss
        self._epoch_labels += labels

    def _end_epoch(self) -> None:
        dev = self._evaluate()
        loss = EpochLoss(train=self._epoch_loss / self._epoch_labels, dev=dev)
        self.curves.append(loss)
        self._epoch_loss, self._epoch_labels = 0.0, 0
        if self._recipe.early_stopping and self._best_epoch() == len(self.curves) - 1:
            self._best = lora_weights(self.peft_model)
        self._save()
        self._progress.epoch_ended(len(self.curves), epochs=self._recipe.epochs, loss=loss)

    @torch.no_grad()
    def _evaluate(self) -> float:
        """Mean loss of a dev token."""
        self.peft_model.eval()
        total, labels = 0.0, 0
        for indices in self._dev_plan:
            self._stop_if_asked()
            batch = collate([self._dev[index] for index in indices], device=self._device)
            total += float(answer_loss(self._causal_model, batch))
            labels += count_labels(batch)
        return total / labels

    def _check_loss(self) -> None:
        """On two examples, so that one of them is padded."""
        self.peft_model.eval()
        shortest = sorted(self._dev, key=lambda example: len(example.token_ids))[:2]
        check_equals_transformers(self._causal_model, collate(shortest, device=self._device))

    def _best_epoch(self) -> int:
        return min(range(len(self.curves)), key=lambda epoch: self.curves[epoch].dev)

    def _stopped_early(self) -> bool:
        if not self._recipe.early_stopping or not self.curves:
            return False
        return len(self.curves) - 1 - self._best_epoch() >= EARLY_STOPPING_PATIENCE_EPOCHS

    def _eta_s(self) -> float:
        done = self._step - self._steps_before
        return (self._clock() - self._started_s) / done * (self._steps - self._step)

    # --- stopping and going on ----------------------------------------------------------------------------------

    def _stop_if_asked(self) -> None:
        if not self._stop.is_set():
            return
        if not math.isnan(self.base_dev_loss):
            self._save()
        raise TrainingStopped(sector=self._sector, step=self._step, steps=self._steps)

    def _save(self) -> None:
        save_checkpoint(
            self._work_dir,
            Checkpoint(
                identity=self._identity,
                step=self._step,
                epoch_loss=self._epoch_loss,
                epoch_labels=self._epoch_labels,
                base_dev_loss=self.base_dev_loss,
                curves=[(loss.train, loss.dev) for loss in self.curves],
                seconds=self.seconds,
                weights=lora_weights(self.peft_model),
                best=self._best,
                optimizer=self._optimizer.state_dict(),
                rng=rng_state(),
                forced=self._forced,
            ),
        )

    def _take_up(self) -> None:
        found = load_checkpoint(self._work_dir, identity=self._identity)
        if found is None:
            if has_checkpoint(self._work_dir):
                self._progress.note(
                    Words(
                        "what an earlier run left is of another recipe, data or base model; starts anew",
                        tr="önceki eğitimden kalan başka bir ayarın, verinin ya da temel modelin; baştan başlıyor",
                    )
                )
            return
        restore_lora_weights(self.peft_model, found.weights)
        self._optimizer.load_state_dict(found.optimizer)
        restore_rng_state(found.rng)
        self._best = found.best
        self._step = self._steps_before = found.step
        self._epoch_loss, self._epoch_labels = found.epoch_loss, found.epoch_labels
        self.base_dev_loss = found.base_dev_loss
        self.curves = [EpochLoss(train=train, dev=dev) for train, dev in found.curves]
        self._seconds_before = found.seconds


def _with_few_questions(examples: Sequence[SectorExample], limit: int) -> list[SectorExample]:
    """At most `limit` examples of each answer, the first ones, begun one further from answer to answer.

    What a question means is the bank's to know; the adapter learns to say what it is told, whichever words asked.
    """
    by_answer: dict[str, list[SectorExample]] = {}
    for example in examples:
        by_answer.setdefault(example.messages[-1].content, []).append(example)
    chosen = {
        asking[(number + place) % len(asking)].id
        for number, asking in enumerate(by_answer.values())
        for place in range(min(limit, len(asking)))
    }
    return [example for example in examples if example.id in chosen]


def _encode(examples: Sequence[SectorExample], encoder: PromptEncoder, teach: Teach) -> dict[str, TrainingExample]:
    """What is learnt, by a name that begins with the example's id."""
    return {
        f"{example.id}{' (closed book)' if number else ''}": encoder.encode_example(conversation)
        for example in examples
        for number, conversation in enumerate(teach(example))
    }


def _as_it_is(example: SectorExample) -> tuple[Conversation, ...]:
    return (example.messages,)


def _check_lengths(sector: str, encoded: Mapping[str, TrainingExample], *, limit_tokens: int) -> None:
    for name, tokens in encoded.items():
        if len(tokens.token_ids) > limit_tokens:
            raise DataError(
                f"{sector}: example {name!r} has {len(tokens.token_ids)} tokens; "
                f"the base model reads {limit_tokens} at most.",
                remedy="Shorten it.",
            )
