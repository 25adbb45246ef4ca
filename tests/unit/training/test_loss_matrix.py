"""The loss matrix says what transformers says of the same adapters."""

import shutil
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.unit.training.conftest import SECTOR, Workshop
from turkish_ai.prompts import IGNORED_LABEL
from turkish_ai.training.loss_matrix import loss_matrix


def test_each_adapter_is_measured_on_one_question_of_each_test_family(workshop: Workshop) -> None:
    workshop.train()
    other = workshop.root / "adapters" / "other"
    shutil.copytree(workshop.adapter, other)
    again = replace(workshop.dataset, sector="other")
    seen: list[tuple[str, str]] = []
    rows = loss_matrix(
        [workshop.dataset, again],
        adapters={SECTOR: workshop.adapter, "other": other},
        model_dir=workshop.base,
        encoder=workshop.encoder,
        measured=lambda sector, adapter: seen.append((sector, adapter)),
    )
    assert [row.sector for row in rows] == [SECTOR, "other"]
    assert [row.questions for row in rows] == [1, 1], "three questions of one family have one answer"
    assert len(seen) == 6  # the base model and two adapters, on two sectors
    (row, same) = rows
    assert row.adapters == same.adapters == {SECTOR: row.own, "other": row.own}, "equal files have equal losses"

    example = workshop.encoder.encode_example(workshop.dataset.split("test")[0].messages)
    tokens, labels = torch.tensor([example.token_ids]), torch.tensor([example.labels])
    base = AutoModelForCausalLM.from_pretrained(workshop.base, dtype=torch.float32)
    with torch.no_grad():
        assert row.base == pytest.approx(float(base(tokens, labels=labels).loss), abs=1e-3)
        adapted = PeftModel.from_pretrained(base, workshop.adapter).eval()
        assert row.own == pytest.approx(float(adapted(tokens, labels=labels).loss), abs=1e-3)
    assert row.tokens == sum(label != IGNORED_LABEL for label in example.labels[1:])
    assert row.own != row.base
    assert row.own_beats_base == (row.own is not None and row.own < row.base)


def test_a_sector_without_test_rows_is_left_out(workshop: Workshop) -> None:
    workshop.train()
    taught = replace(workshop.dataset, examples=workshop.dataset.split("train"))
    assert not loss_matrix(
        [taught], adapters={SECTOR: workshop.adapter}, model_dir=workshop.base, encoder=workshop.encoder
    )
