"""How well the adapters answer, measured on questions that they were not trained on."""

from turkish_ai.evaluation.recall import (
    RecallQuestion,
    RecallReport,
    SectorRecall,
    evaluate_recall,
    read_recall_questions,
)

__all__ = ["RecallQuestion", "RecallReport", "SectorRecall", "evaluate_recall", "read_recall_questions"]
