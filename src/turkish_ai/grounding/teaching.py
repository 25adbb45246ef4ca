"""What a conversation begins with when an adapter learns from it.

Called by `training`. An adapter learns to answer from the reference that lies before it, and to say that it does not
know where there is none or one that does not fit. Which reference fits is the bank's to find when serving.
"""

from collections.abc import Callable

from turkish_ai.grounding.bank import QuestionBank, as_message
from turkish_ai.grounding.files import taught_question
from turkish_ai.messages import Message
from turkish_ai.sector_data import DECLINING_FAMILIES, SectorDataset, SectorExample

Teach = Callable[[SectorExample], tuple[Message, ...]]


def grounded(dataset: SectorDataset) -> Teach:
    """A function from an example to its conversation with what it is told.

    A taught question is told its own answer. Of the questions that are answered with not knowing, a third is told
    that very answer, a third nothing, and a third the taught answer that a bank would take for theirs.
    """
    declined = [example for example in dataset.examples if example.family.startswith(DECLINING_FAMILIES)]
    turn = {example.id: number % 3 for number, example in enumerate(declined)}
    misleading = _taught_bank(dataset) if declined else None

    def teach(example: SectorExample) -> tuple[Message, ...]:
        question = taught_question(example)
        kind = turn.get(example.id, 0)
        if kind == 1:
            return example.messages
        if kind == 2 and misleading is not None:
            found = misleading.find(question.text)
            return (as_message(found.answer), *example.messages) if found else example.messages
        return (as_message(question.answer), *example.messages)

    return teach


def _taught_bank(dataset: SectorDataset) -> QuestionBank | None:
    from turkish_ai.grounding.fitting import build_bank  # SciPy: only paid where something is fitted

    taught = [
        taught_question(example)
        for example in dataset.split("train")
        if not example.family.startswith(DECLINING_FAMILIES)
    ]
    return build_bank(taught) if taught else None
