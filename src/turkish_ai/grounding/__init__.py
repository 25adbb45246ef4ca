"""What a sector's adapter is told before it answers: the taught answer to the question that is most like this one.

`bank` finds it, `fitting` learns how to find it from a sector's own questions, `files` keeps what was learnt, and
`teaching` shows it to an adapter in training. A small model copies and fits a text that lies before it far better
than it remembers one (docs/decisions/0006).
"""

from turkish_ai.grounding.bank import QuestionBank, QuestionBanks, Reference, TaughtQuestion, as_message
from turkish_ai.grounding.files import ensure_bank, load_bank, question_banks, taught_questions
from turkish_ai.grounding.teaching import grounded

__all__ = [
    "QuestionBank",
    "QuestionBanks",
    "Reference",
    "TaughtQuestion",
    "as_message",
    "ensure_bank",
    "grounded",
    "load_bank",
    "question_banks",
    "taught_questions",
]
