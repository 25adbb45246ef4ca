"""How well the adapters answer, measured on questions that they were not trained on."""

from turkish_ai.evaluation.recall import (
    RecallQuestion,
    RecallReport,
    Reply,
    SectorRecall,
    evaluate_recall,
    read_recall_questions,
)

__all__ = ["RecallQuestion", "RecallReport", "Reply", "SectorRecall", "evaluate_recall", "read_recall_questions"]
