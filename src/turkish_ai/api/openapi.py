"""What /openapi.json says of bodies and answers, for the callers' tools and the page at /docs.

Used by the routes when they are declared. The routes read bodies and write answers by hand; these models describe the
answers, `wire` the bodies, and a test holds real answers against them. Nothing here runs while a request is served.
"""

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from turkish_ai.api import wire

_REFUSALS = {
    400: "The request cannot be read, or asks for something that is not carried out.",
    401: "The admin key is missing or wrong.",
    403: "A browser sent it for another site's page.",
    404: "What it names is not here.",
    408: "The body took too long to arrive.",
    409: "It is in use now, or another sector needs it.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A value is out of range, or an adapter is refused.",
    503: "Not now: loading, queue full, or stopping (Retry-After says when); or the sector's adapter is broken.",
}


NEEDS_ADMIN_KEY: dict[str, Any] = {"security": [{"AdminKey": []}]}
"""For `openapi_extra`: the route is for whoever has the admin key."""
_ADMIN_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "TURKISH_AI_ADMIN_KEY; without it, the key that the server made in TURKISH_AI_DATA_DIR/admin_key.",
}


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    error: ErrorDetail


class SectorConfidence(BaseModel):
    sector: str
    confidence: float


class FallbackDetail(BaseModel):
    """Why `general` answered although a sector was found."""

    code: str
    sector: str = Field(description="The sector that was found.")
    confidence: float = Field(description="The router's, in that sector.")
    message_tr: str
    message_en: str


class ReferenceDetail(BaseModel):
    """The taught question whose answer the adapter was told before it answered."""

    question: str
    family: str
    confidence: float = Field(description="That it is the one asked, as the sector's question bank sees it.")


class OriginDetail(BaseModel):
    """Which sector, adapter and engine made the answer."""

    sector: str
    sector_name: str
    confidence: float = Field(
        description="The router's, in the sector that it found; 1 for a sector that the request named."
    )
    top: list[SectorConfidence]
    adapter: str | None
    version: str | None
    engine: str
    fallback: FallbackDetail | None
    reference: ReferenceDetail | None


class UsageDetail(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Logprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprobDetail(Logprob):
    top_logprobs: list[Logprob]


class LogprobsDetail(BaseModel):
    content: list[TokenLogprobDetail]
    refusal: None


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None


class AnswerChoice(BaseModel):
    index: int
    message: AnswerMessage
    logprobs: LogprobsDetail | None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: UsageDetail
    turkish_ai: OriginDetail


class ModelDetail(BaseModel):
    available: bool = Field(description="A question for it would be answered; a sector without an adapter is not.")


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str | None = Field(description="What answers, precisely; null while the sector has no adapter.")
    parent: str | None
    turkish_ai: ModelDetail


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


class InferTimings(BaseModel):
    queued_ms: float
    first_token_ms: float
    total_ms: float
    routing_ms: float


class InferAnswer(OriginDetail):
    text: str
    model: str
    finish_reason: Literal["stop", "length"]
    usage: UsageDetail
    timings: InferTimings


class ClassifyAnswer(BaseModel):
    sector: str
    sector_name: str
    confidence: float
    top: list[SectorConfidence]
    evidence: list[str] | None = Field(None, description="Only if asked for.")


class SectorCard(BaseModel):
    id: str
    name_tr: str
    name_en: str
    description_tr: str
    description_en: str
    adapter: bool
    version: str | None
    problem: str | None = Field(description="Why its adapter cannot be served, if there is one that cannot.")


class SectorList(BaseModel):
    sectors: list[SectorCard]


class AdapterCard(BaseModel):
    sector: str | None = Field(
        description="null for what is still in memory and answers for no sector: DELETE the sector it was loaded for."
    )
    sector_name: str | None
    folder: str | None
    until_restart: bool = Field(description="The folder was given at run time; a restart brings the configured one.")
    version: str | None
    sha256: str | None
    resident: bool = Field(description="In the engine's memory now.")
    loaded_for: str | None = Field(description="The sector whose question or admin call brought it into memory.")
    pinned: bool = Field(description="Until the restart.")
    users: int = Field(description="Requests decoding with it now.")
    bytes: int
    rank: int
    error: ErrorDetail | None


class AdapterList(BaseModel):
    adapters: list[AdapterCard]


class AdapterRemoved(BaseModel):
    sector: str
    unloaded: list[str] = Field(description="Versions whose memory was given back.")


class AliveAnswer(BaseModel):
    status: Literal["alive", "dead"]
    version: str
    detail: str


class ReadyAnswer(BaseModel):
    status: Literal["loading", "ready", "draining", "dead"]
    detail: str


def takes(body: type[wire.WireModel]) -> dict[str, Any]:
    """For `openapi_extra`: the route takes this body."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses`: the route may refuse with these."""
    return {status: {"model": ErrorAnswer, "description": _REFUSALS[status]} for status in statuses}


def describe(app: FastAPI) -> None:
    """Add the request bodies, which FastAPI does not see, to what it finds by itself."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            bodies = (wire.ChatCompletionRequest, wire.InferRequest, wire.ClassifyRequest, wire.AdapterRequest)
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes, tags=None
            )
            _, definitions = models_json_schema(
                [(body, "validation") for body in (*bodies, wire.TextPart)],
                ref_template="#/components/schemas/{model}",
            )
            schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
            schema["components"]["securitySchemes"] = {"AdminKey": _ADMIN_KEY}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
