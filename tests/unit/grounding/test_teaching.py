"""What an adapter learns from an example."""

from tests.unit.grounding.conftest import CARD, EYES, UNKNOWN
from turkish_ai.grounding import as_message, grounded
from turkish_ai.sector_data import SectorDataset

NO_ANSWER = "Bilmiyorum; hekiminize sorun."


def test_a_taught_question_comes_with_its_own_answer(dataset: SectorDataset) -> None:
    teach = grounded(dataset, no_answer=NO_ANSWER)
    first = dataset.examples[0]
    assert teach(first) == ((as_message(CARD), *first.messages),)


def test_of_a_conversation_the_last_turn_is_learnt_as_it_is_served(dataset: SectorDataset) -> None:
    conversation = next(example for example in dataset.examples if len(example.messages) == 4)
    taught = grounded(dataset, no_answer=NO_ANSWER)(conversation)
    assert taught == ((as_message(EYES), *conversation.messages[-2:]),)


def test_not_knowing_is_taught_in_its_own_words_and_in_those_of_the_sector_in_turn(dataset: SectorDataset) -> None:
    teach = grounded(dataset, no_answer=NO_ANSWER)
    declined = [example for example in dataset.examples if example.family.startswith("bilinmeyen-")]
    for example, said in zip(declined, (NO_ANSWER, UNKNOWN, NO_ANSWER), strict=True):
        ((told, question, answer),) = teach(example)
        assert told == as_message(said)
        assert question == example.messages[0]
        assert (answer.role, answer.content) == ("assistant", said)


def test_what_is_held_out_is_told_its_own_answer_which_was_never_taught(dataset: SectorDataset) -> None:
    (held_out,) = dataset.split("dev")
    ((told, *_),) = grounded(dataset, no_answer=NO_ANSWER)(held_out)
    assert told == as_message("Kan merkezine sorun.")


def test_a_share_of_the_examples_is_learnt_a_second_time_with_nothing_told(dataset: SectorDataset) -> None:
    train = dataset.split("train")
    half = grounded(dataset, no_answer=NO_ANSWER, closed_book_ratio=0.5)
    assert sum(len(half(example)) == 2 for example in train) == len(train) // 2
    every = grounded(dataset, no_answer=NO_ANSWER, closed_book_ratio=1.0)
    conversation = next(example for example in dataset.examples if len(example.messages) == 4)
    assert every(conversation) == ((as_message(EYES), *conversation.messages[-2:]), conversation.messages)
    assert all(len(every(example)) == 2 for example in dataset.examples)
