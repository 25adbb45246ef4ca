"""What an adapter learns from an example.

Called by `training`. An adapter learns to answer from the text that lies before the question, whatever it says: a
taught answer, or that the assistant does not know and whom to ask. Which text fits is the bank's to find when serving,
so it is never misled here; told something else, it would learn to trust its memory, which mixes up what it holds.

A share of the examples is learnt a second time without that text. It teaches no facts to rely on, but the sector's
words: adapters that only ever copied were sure of nonsense wherever there was nothing to copy (20 test questions of
finance_banking: 11.3 nats a token, the base model 4.0).
"""

from collections.abc import Callable
from dataclasses import replace

from turkish_ai.grounding.bank import as_message
from turkish_ai.messages import Message
from turkish_ai.sector_data import DECLINING_FAMILIES, SPLITS, SectorDataset, SectorExample

Conversation = tuple[Message, ...]
Teach = Callable[[SectorExample], tuple[Conversation, ...]]


def grounded(dataset: SectorDataset, *, no_answer: str, closed_book_ratio: float = 0.0) -> Teach:
    """A function from an example to the conversations that are learnt from it.

    The first is as it is served: what the adapter is told, the last question, and the same as its answer.
    `closed_book_ratio` is the share of each split's examples, evenly spread, that are learnt as they are too, with
    every turn and nothing told. `no_answer` is what the assistant says where nothing fits: every other question that
    is answered with not knowing is taught with these words instead of its own.
    """
    declined = [example.id for example in dataset.examples if example.family.startswith(DECLINING_FAMILIES)]
    without_answer = frozenset(declined[::2])
    closed_book = frozenset(
        example.id
        for split in SPLITS
        for position, example in enumerate(dataset.split(split))
        if int((position + 1) * closed_book_ratio) > int(position * closed_book_ratio)
    )

    def teach(example: SectorExample) -> tuple[Conversation, ...]:
        *before, question, last = example.messages
        answer = replace(last, content=no_answer) if example.id in without_answer else last
        as_served = (as_message(answer.content), question, answer)
        return (as_served, (*before, question, answer)) if example.id in closed_book else (as_served,)

    return teach
