"""What a conversation begins with when an adapter learns from it.

Called by `training`. An adapter learns to answer from the text that lies before it, whatever it says: a taught answer,
or that the assistant does not know and whom to ask. Which text fits is the bank's to find when serving, so it is never
misled here; told nothing, or something else, it would learn to trust its memory, which mixes up what it holds.
"""

from collections.abc import Callable
from dataclasses import replace

from turkish_ai.grounding.bank import as_message
from turkish_ai.messages import Message
from turkish_ai.sector_data import DECLINING_FAMILIES, SectorDataset, SectorExample

Teach = Callable[[SectorExample], tuple[Message, ...]]


def grounded(dataset: SectorDataset, *, no_answer: str) -> Teach:
    """A function from an example to its conversation with what it is told: its own answer.

    `no_answer` is what the assistant says where nothing fits: every other question that is answered with not knowing
    is taught with these words instead of its own.
    """
    declined = [example.id for example in dataset.examples if example.family.startswith(DECLINING_FAMILIES)]
    without_answer = frozenset(declined[::2])

    def teach(example: SectorExample) -> tuple[Message, ...]:
        *before, last = example.messages
        answer = replace(last, content=no_answer) if example.id in without_answer else last
        return (as_message(answer.content), *before, answer)

    return teach
