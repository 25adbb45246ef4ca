"""An error of ours in the person's language.

Used wherever the command line shows one. An error that brings no Turkish is shown as it is, in English, under a
headline of ours.
"""

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.errors import TurkishAiError


def parts(error: TurkishAiError, say: Speaker) -> tuple[str, str | None]:
    """What is wrong and what to do, each in one line; Turkish without its remedy is not mixed with the English one."""
    message, remedy = error.message, error.remedy
    if say.language == "tr" and error.message_tr is not None:
        message, remedy = error.message_tr, error.remedy_tr
    return _one_line(message), None if remedy is None else _one_line(remedy)


def sentence(error: TurkishAiError, say: Speaker) -> str:
    message, remedy = parts(error, say)
    return f"{message} {remedy}" if remedy else message


def line(error: TurkishAiError, say: Speaker) -> str:
    """The sentence, under the headline of the error's kind."""
    kind = texts.ERROR_KINDS.get(error.code)
    if kind is None:
        return say(texts.ERROR, error=sentence(error, say))
    return say(texts.ERROR_OF_KIND, kind=say(kind), error=sentence(error, say))


def _one_line(text: str) -> str:
    return " ".join(text.split())
