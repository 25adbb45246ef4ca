"""Thin entry for operators: re-exports `turkish_ai.metrics`."""

from turkish_ai.metrics import Metrics

__all__ = ["Metrics"]
