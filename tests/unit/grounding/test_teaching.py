"""What an adapter is told while it learns."""

from tests.unit.grounding.conftest import CARD, EYES, UNKNOWN
from turkish_ai.grounding import as_message, grounded
from turkish_ai.sector_data import SectorDataset


def test_a_taught_question_comes_with_its_own_answer(dataset: SectorDataset) -> None:
    teach = grounded(dataset)
    first = dataset.examples[0]
    assert teach(first) == (as_message(CARD), *first.messages)
    conversation = next(example for example in dataset.examples if len(example.messages) == 4)
    assert teach(conversation) == (as_message(EYES), *conversation.messages)


def test_not_knowing_is_taught_with_its_own_answer_with_nothing_and_with_one_that_does_not_fit(
    dataset: SectorDataset,
) -> None:
    teach = grounded(dataset)
    declined = [example for example in dataset.examples if example.family.startswith("bilinmeyen-")]
    own, nothing, misleading = (teach(example) for example in declined)
    assert own == (as_message(UNKNOWN), *declined[0].messages)
    assert nothing == declined[1].messages
    assert misleading[0].role == "system"
    assert UNKNOWN not in misleading[0].content
    assert misleading[1:] == declined[2].messages


def test_what_is_held_out_is_told_its_own_answer_which_was_never_taught(dataset: SectorDataset) -> None:
    (held_out,) = dataset.split("dev")
    assert grounded(dataset)(held_out)[0] == as_message("Kan merkezine sorun.")
