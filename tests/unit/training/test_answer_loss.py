"""The loss that skips the logits nobody needs is transformers' own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GraniteConfig

from turkish_ai.errors import UnsupportedModel
from turkish_ai.messages import Message
from turkish_ai.prompts import IGNORED_LABEL, PromptEncoder
from turkish_ai.training.answer_loss import (
    Candidates,
    answer_loss,
    check_equals_transformers,
    count_labels,
    opening_weights,
)
from turkish_ai.training.batches import Batch, collate
from turkish_ai.training.lora import load_base_model

CPU = torch.device("cpu")
TALK = (
    Message(role="user", content="Kartımı kaybettim."),
    Message(role="assistant", content="Hemen kapattırın."),
    Message(role="user", content="Sonra?"),
    Message(role="assistant", content="Yenisini isteyin."),
)


def frozen(folder: Path, *, dtype: torch.dtype = torch.float32) -> Any:
    return load_base_model(folder, device=CPU, dtype=dtype).requires_grad_(False)


@pytest.fixture
def batch(encoders: dict[str, PromptEncoder]) -> Batch:
    encoder = encoders["gemma3"]
    return collate([encoder.encode_example(TALK), encoder.encode_example(TALK[:2])], device=CPU)


@pytest.mark.parametrize(("family", "softcap"), [("gemma3", None), ("gemma3", 5.0), ("llama", None)])
def test_the_loss_equals_transformers_own(
    tiny_bases: dict[str, Path], batch: Batch, family: str, softcap: float | None
) -> None:
    model = frozen(tiny_bases[family])
    if softcap is not None:
        model.config.final_logit_softcapping = softcap
    expected = model(input_ids=batch.tokens, attention_mask=batch.attention, labels=batch.labels).loss
    found = answer_loss(model, batch) / count_labels(batch)
    assert float(found) == pytest.approx(float(expected), abs=1e-5)
    check_equals_transformers(model, batch)


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("chunk_tokens", [3, 64])
def test_its_gradient_equals_that_of_transformers_own(
    tiny_bases: dict[str, Path], batch: Batch, softcap: float | None, chunk_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turkish_ai.training.answer_loss._CHUNK_TOKENS", chunk_tokens)
    model = frozen(tiny_bases["gemma3"])
    model.config.final_logit_softcapping = softcap
    weight = model.model.layers[0].mlp.up_proj.weight.requires_grad_()
    own = model(input_ids=batch.tokens, attention_mask=batch.attention, labels=batch.labels).loss
    (expected,) = torch.autograd.grad(own, weight)
    (found,) = torch.autograd.grad(answer_loss(model, batch) / count_labels(batch), weight)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_model_that_scales_its_logits_otherwise_is_refused(batch: Batch) -> None:
    config = GraniteConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        logits_scaling=8.0,
    )
    with pytest.raises(UnsupportedModel, match="computes its loss in an unknown way"):
        check_equals_transformers(AutoModelForCausalLM.from_config(config).requires_grad_(False).eval(), batch)


def test_a_head_that_is_trained_or_carries_an_adapter_is_refused(tiny_bases: dict[str, Path], batch: Batch) -> None:
    trained = load_base_model(tiny_bases["llama"], device=CPU, dtype=torch.float32)
    with pytest.raises(UnsupportedModel, match=r"output head .* trained"):
        answer_loss(trained, batch)
    adapted = get_peft_model(frozen(tiny_bases["llama"]), LoraConfig(target_modules=["lm_head"], task_type="CAUSAL_LM"))
    with pytest.raises(UnsupportedModel, match="lm_head out of lora"):
        check_equals_transformers(adapted.get_base_model(), batch)


def test_a_base_model_in_bf16_comes_within_its_rounding(tiny_bases: dict[str, Path], batch: Batch) -> None:
    exact = float(answer_loss(frozen(tiny_bases["gemma3"]), batch)) / count_labels(batch)
    model = frozen(tiny_bases["gemma3"], dtype=torch.bfloat16)
    check_equals_transformers(model, batch)
    assert float(answer_loss(model, batch)) / count_labels(batch) == pytest.approx(exact, rel=0.02)


def candidates(batch: Batch, *, sampled: int) -> Candidates:
    answers = batch.labels[batch.labels != IGNORED_LABEL].tolist()
    return Candidates(answers, vocabulary=512, sampled=sampled, seed=3, device=CPU)


def test_a_sample_as_large_as_the_vocabulary_gives_the_exact_loss(tiny_bases: dict[str, Path], batch: Batch) -> None:
    model = frozen(tiny_bases["gemma3"])
    exact = float(answer_loss(model, batch))
    assert float(answer_loss(model, batch, candidates=candidates(batch, sampled=512))) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_sampled_losses_and_gradients_are_the_exact_ones_on_average(
    tiny_bases: dict[str, Path], batch: Batch, softcap: float | None
) -> None:
    model = frozen(tiny_bases["gemma3"])
    model.config.final_logit_softcapping = softcap
    weight = model.model.layers[-1].mlp.down_proj.weight.requires_grad_()
    exact = answer_loss(model, batch)
    (expected,) = torch.autograd.grad(exact, weight)
    exact = exact.detach()
    chosen = candidates(batch, sampled=128)
    losses = [answer_loss(model, batch, candidates=chosen, step=step) for step in range(40)]
    found = sum(torch.autograd.grad(loss, weight)[0] for loss in losses) / len(losses)
    assert sum(float(loss.detach()) for loss in losses) / len(losses) == pytest.approx(float(exact), rel=0.02)
    assert len({float(loss.detach()) for loss in losses}) > 1
    assert torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.98


def test_a_step_draws_the_same_sample_again_and_another_step_another(batch: Batch) -> None:
    one, other = candidates(batch, sampled=16), candidates(batch, sampled=16)
    assert torch.equal(one.at(4)[0], other.at(4)[0])
    assert not torch.equal(one.at(4)[0], one.at(5)[0])


@pytest.mark.parametrize("opening_tokens", [0, 2, 50])
def test_the_first_tokens_of_every_answer_weigh_more(opening_tokens: int) -> None:
    no = IGNORED_LABEL
    labels = torch.tensor([[no, no, 7, 8, 9, no, no, 5, no], [no, 4, 4, 4, no, no, no, no, no]])
    expected = {
        0: [[1] * 9, [1] * 9],
        2: [[1, 1, 6, 6, 1, 1, 1, 6, 1], [1, 6, 6, 1, 1, 1, 1, 1, 1]],
        50: [[1, 1, 6, 6, 6, 1, 1, 6, 1], [1, 6, 6, 6, 1, 1, 1, 1, 1]],
    }[opening_tokens]
    assert opening_weights(labels, opening_tokens=opening_tokens, weight=6.0).tolist() == expected


def test_weights_change_the_gradient_and_not_the_loss(tiny_bases: dict[str, Path], batch: Batch) -> None:
    model = frozen(tiny_bases["gemma3"])
    weight = model.model.layers[0].mlp.up_proj.weight.requires_grad_()
    twice = torch.full(batch.labels.shape, 2.0)
    plain, weighted = answer_loss(model, batch), answer_loss(model, batch, weights=twice)
    assert float(weighted.detach()) == float(plain.detach())
    (expected,), (found,) = torch.autograd.grad(plain, weight), torch.autograd.grad(weighted, weight)
    torch.testing.assert_close(found, 2 * expected, rtol=1e-4, atol=1e-6)
    opening = opening_weights(batch.labels, opening_tokens=2, weight=8.0)
    (other,) = torch.autograd.grad(answer_loss(model, batch, weights=opening), weight)
    assert not torch.allclose(other, expected, rtol=0.05)


def test_labels_cover_the_answers_and_their_end_of_turn_only(encoders: dict[str, PromptEncoder]) -> None:
    encoder = encoders["gemma3"]
    example = encoder.encode_example(TALK)
    learnt = [token for token, label in zip(example.token_ids, example.labels, strict=True) if label != IGNORED_LABEL]
    text = encoder.backend.decode(learnt, skip_special_tokens=False)
    assert text == "Hemen kapattırın.<end_of_turn>Yenisini isteyin.<end_of_turn>"
    assert all(label in (token, IGNORED_LABEL) for token, label in zip(example.token_ids, example.labels, strict=True))
