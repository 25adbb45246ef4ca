"""Get the base model onto the disk, once, as a Hugging Face directory.

Used by the command line, the doctor, the engine and training. Importing it is cheap: neither torch, transformers nor
numpy is loaded. Knows nothing of HTTP or engines.
"""

from turkish_ai.base_model.fingerprint import fingerprint
from turkish_ai.base_model.preparation import ensure_base_model, installed_base_model
from turkish_ai.base_model.progress import (
    Language,
    LineProgress,
    Progress,
    RichProgress,
    SilentProgress,
    Words,
    progress_for,
    said,
)
from turkish_ai.base_model.source import BaseModelSource

__all__ = [
    "BaseModelSource",
    "Language",
    "LineProgress",
    "Progress",
    "RichProgress",
    "SilentProgress",
    "Words",
    "ensure_base_model",
    "fingerprint",
    "installed_base_model",
    "progress_for",
    "said",
]
