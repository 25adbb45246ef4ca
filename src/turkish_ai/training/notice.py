"""The licence notice that goes with an adapter.

Called by `training.adapter_folder`. Knows nothing of files.
"""

_GEMMA = """\
This folder holds a LoRA adapter trained on {base}, sector "{sector}", by the Türk AI Agent project's training. The
adapter is a Model Derivative of Gemma. Gemma is provided under and subject to the Gemma Terms of Use found at
https://ai.google.dev/gemma/terms; the use and distribution of this adapter are governed by the same terms, including
the Gemma Prohibited Use Policy at https://ai.google.dev/gemma/prohibited_use_policy. The files in this folder are not
Google's: they were made by training, and they modify the behaviour of the unmodified Gemma weights when they are
loaded together with them. This notice has to be passed on with the adapter.
"""

_OTHER = """\
This folder holds a LoRA adapter trained on {base}, sector "{sector}", by the Türk AI Agent project's training. It is
derived from that base model, whose licence decides how the adapter may be used and passed on. The files in this
folder were made by training; they modify the behaviour of the unmodified base model when they are loaded together
with it.
"""


def notice(*, base_name: str, model_type: str, sector: str) -> str:
    """`model_type` is that of the base model's config.json: every Gemma names itself there."""
    return (_GEMMA if model_type.startswith("gemma") else _OTHER).format(base=base_name, sector=sector)
