"""Say in Turkish and English what pydantic found wrong in the settings.

Called by `settings`. Knows pydantic's findings, and nothing of what a setting is for.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

_TR = {
    "missing": "bu girdi gerekli",
    "int_type": "tam sayı olmalı",
    "int_parsing": "tam sayı olmalı",
    "int_from_float": "tam sayı olmalı",
    "float_type": "sayı olmalı",
    "float_parsing": "sayı olmalı",
    "finite_number": "sonlu bir sayı olmalı",
    "string_type": "metin olmalı",
    "bool_type": "true ya da false olmalı",
    "bool_parsing": "true ya da false olmalı",
    "tuple_type": "liste olmalı",
    "list_type": "liste olmalı",
    "model_type": "nesne olmalı",
    "model_attributes_type": "nesne olmalı",
    "greater_than": "{gt} değerinden büyük olmalı",
    "greater_than_equal": "en az {ge} olabilir",
    "less_than": "{lt} değerinden küçük olmalı",
    "less_than_equal": "en çok {le} olabilir",
    "string_too_short": "en az {min_length} karakter olmalı",
    "too_short": "en az {min_length} öğe olmalı",
    "string_pattern_mismatch": "{pattern} kalıbına uymalı",
    "literal_error": "olabilecekler: {expected}",
}
"""pydantic's kinds of findings; one that is not here is said in English."""


_VARIABLES = {"language": "LANG"}
"""Fields that are not called as their variable is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    tr: str
    en: str


def explain(
    error: ValidationError,
    raw: Any,
    *,
    prefix: str = "",
    known: Mapping[tuple[str, ...], Sequence[str]] | None = None,
) -> Explained:
    """All findings, each with path, what is allowed and the value found; no full stop at the end.

    `prefix` makes environment variables of the paths. `known` names the entries of each section, for those that are
    not among them.
    """
    said = [_finding(finding, prefix=prefix, known=known or {}) for finding in error.errors(include_url=False)]
    return Explained(tr="; ".join(one.tr for one in said), en="; ".join(one.en for one in said))


def _finding(finding: Any, *, prefix: str, known: Mapping[tuple[str, ...], Sequence[str]]) -> Explained:
    place = ".".join(str(part) for part in finding["loc"])
    if prefix:
        place = prefix + _VARIABLES.get(place, place.upper())
    en, tr = _what_is_allowed(finding, known)
    shown = finding["type"] not in ("missing", "value_error")
    value = _short(finding["input"]) if shown else ""
    return Explained(
        en=f"{place or '(whole file)'}: {en}" + (f" (found: {value})" if shown else ""),
        tr=f"{place or '(dosyanın tümü)'}: {tr}" + (f" (bulunan: {value})" if shown else ""),
    )


def _what_is_allowed(finding: Any, known: Mapping[tuple[str, ...], Sequence[str]]) -> tuple[str, str]:
    """In English, and in Turkish."""
    context = dict(finding.get("ctx", {}))
    english = re.sub(r"^Value error, ", "", finding["msg"])
    kind = finding["type"]
    if kind == "extra_forbidden":
        *section, name = (str(part) for part in finding["loc"] if isinstance(part, str))
        names = known.get(tuple(section), ())
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
        if near:
            return f"unknown entry; is {near[0]} meant?", f"bilinmeyen girdi, belki {near[0]}"
        if names:
            listed = ", ".join(names)
            return f"unknown entry; known here: {listed}", f"bilinmeyen girdi; burada olabilecekler: {listed}"
        return "unknown entry", "bilinmeyen girdi"
    if kind == "value_error":
        return english, getattr(context.get("error"), "tr", english)
    if kind == "literal_error":
        # pydantic writes the values as Python does, and the file is JSON.
        context["expected"] = re.sub(r"\b(True|False)\b", lambda found: found[0].lower(), context["expected"])
        english = f"Input should be {context['expected']}"
        context["expected"] = context["expected"].replace(" or ", " ya da ")
    if kind in _TR:
        return english, _TR[kind].format(**context)
    return english, english


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
