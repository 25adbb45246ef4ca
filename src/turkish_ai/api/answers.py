"""The parts that every answer shares: where it comes from, what it used, and how text becomes JSON.

Used by `chat` and `native`. Builds plain dictionaries by hand: they are written for every token, and validating our own
words costs more than saying them. `openapi` describes them; a test holds the two together. Knows nothing of requests.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from turkish_ai.assistant import Fallback, Origin
from turkish_ai.grounding import Reference
from turkish_ai.messages import GENERAL, SectorChoice, TokenLogprob, Usage
from turkish_ai.settings import ModelConfig

_LOWEST_LOGPROB = -9999.0
"""OpenAI's figure for a token that could not be chosen; JSON has no minus infinity."""

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(value).encode(), status_code=status, headers=headers, media_type="application/json")


class Answers:
    """Describes origins with the sectors' Turkish names."""

    def __init__(self, config: ModelConfig) -> None:
        self._names = {sector.id: sector.name_tr for sector in config.sectors} | {GENERAL: config.general.name_tr}

    def sector_name(self, sector: str) -> str:
        return self._names[sector]

    def origin(self, origin: Origin) -> dict[str, Any]:
        """The `turkish_ai` object."""
        adapter = origin.adapter
        return {
            **self.choice(origin.choice),
            "adapter": adapter.name if adapter else None,
            "version": adapter.version if adapter else None,
            "engine": origin.engine,
            "fallback": _fallback(origin.fallback),
            "reference": _reference(origin.reference),
        }

    def choice(self, choice: SectorChoice) -> dict[str, Any]:
        return {
            "sector": choice.sector,
            "sector_name": self._names[choice.sector],
            "confidence": round(choice.confidence, 4),
            "top": [{"sector": sector, "confidence": round(confidence, 4)} for sector, confidence in choice.top],
        }

    def headers(self, origin: Origin) -> dict[str, str]:
        found = {
            "x-turkish-ai-sector": origin.choice.sector,
            "x-turkish-ai-confidence": f"{origin.choice.confidence:.4f}",
            "x-turkish-ai-engine": quote(origin.engine),
        }
        if origin.fallback is not None:
            found["x-turkish-ai-fallback"] = origin.fallback.sector
        if origin.adapter is not None:
            found["x-turkish-ai-adapter"] = quote(origin.adapter.name)
            found["x-turkish-ai-version"] = origin.adapter.version
        return found


def usage_object(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def logprobs_object(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "content": [
            {
                **_logprob(token.token, token.token_bytes, token.logprob),
                "top_logprobs": [_logprob(*candidate) for candidate in token.top],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _logprob(token: str, token_bytes: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": max(logprob, _LOWEST_LOGPROB), "bytes": list(token_bytes)}


def _reference(reference: Reference | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    return {
        "question": reference.question,
        "family": reference.family,
        "confidence": round(reference.confidence, 4),
    }


def _fallback(fallback: Fallback | None) -> dict[str, Any] | None:
    if fallback is None:
        return None
    return {
        "code": fallback.code,
        "sector": fallback.sector,
        "confidence": round(fallback.confidence, 4),
        "message_tr": fallback.message_tr,
        "message_en": fallback.message_en,
    }
