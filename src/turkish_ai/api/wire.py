"""What callers may send: the request bodies, field by field, and the errors for what does not fit.

Used by the routes. A body becomes a typed request here or an error that names the field, the value and what is
allowed; nothing is dropped in silence. Knows nothing of what is done with a request.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo
from pydantic.types import FailFast
from pydantic_core import ErrorDetails, PydanticCustomError

from turkish_ai.errors import InvalidRequest, TurkishAiError, UnknownParameter, UnsupportedParameter, ValueOutOfRange
from turkish_ai.messages import Message, Sampling
from turkish_ai.settings import InferenceConfig, RequestLimits

_SEED_MIN, _SEED_MAX = -(2**63), 2**63 - 1
_TOP_K_LIMIT = 1_000_000
_RANGE_ERRORS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_long"})


class WireModel(BaseModel):
    """`openai_only` maps fields of OpenAI's API that are not carried out to the values that ask for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    openai_only: ClassVar[Mapping[str, tuple[Any, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _name_what_is_not_carried_out(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.keys() <= cls.model_fields.keys():
            return given
        kept = {}
        for name, value in given.items():
            if name in cls.model_fields:
                kept[name] = value
            elif name not in cls.openai_only:
                # `raise` here rather than `extra=forbid` later: one error, however many names a hostile body brings.
                raise PydanticCustomError("unknown_parameter", "unknown", {"name": name})
            elif value is not None and value not in cls.openai_only[name]:
                raise PydanticCustomError("unsupported_parameter", "unsupported", {"name": name})
        return kept

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Raises InvalidRequest, UnknownParameter, UnsupportedParameter or ValueOutOfRange."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            refused = _explain(cls, error.errors(include_url=False)[0])
        raise refused  # outside the `except`, so that no traceback carries the caller's texts


class TextPart(WireModel):
    openai_only = {"image_url": (), "input_audio": (), "file": (), "refusal": (), "prompt_cache_breakpoint": ()}

    type: Literal["text"]
    text: str


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


_TEXT_OR_PARTS = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/TextPart"}}]}
)


class ChatMessage(WireModel):
    openai_only = {
        "name": (),
        "refusal": (),
        "audio": (),
        "annotations": ([],),
        "function_call": (),
        "tool_calls": ([],),
        "tool_call_id": (),
    }

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[TextPart], FailFast(), BeforeValidator(_as_parts), _TEXT_OR_PARTS]

    def message(self) -> Message:
        text = self.content[0].text if len(self.content) == 1 else "\n".join(part.text for part in self.content)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class StreamOptions(WireModel):
    openai_only = {"include_obfuscation": (False,)}

    include_usage: bool = Field(False, description="Send a last chunk with the usage and no choices.")


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


_TEXT_OR_TEXTS = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
)


class SamplingFields(WireModel):
    """How tokens are chosen; what is left out or null takes the server's default."""

    temperature: float | None = Field(None, ge=0, le=2, description="0 takes the likeliest token.")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=_TOP_K_LIMIT, description="0 is off.")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.5, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = Field(None, ge=_SEED_MIN, le=_SEED_MAX)
    stop: Annotated[list[str] | None, FailFast(), BeforeValidator(_as_list), _TEXT_OR_TEXTS] = None
    max_tokens: int | None = Field(None, ge=1)

    def sampling(self, inference: InferenceConfig, **more: Any) -> Sampling:
        """Raises ValueOutOfRange for what the server's configured limits do not allow."""
        defaults, limits = inference.defaults, inference.limits
        chosen = defaults.model_dump()
        for name in _SAMPLED:
            if (value := getattr(self, name)) is not None:
                chosen[name] = value
        if self.stop:
            chosen["stop"] = self._stop(limits)
        chosen |= more
        if chosen["max_tokens"] > limits.max_tokens:
            raise _out_of_range(self._max_tokens_name(), chosen["max_tokens"], f"1 to {limits.max_tokens}")
        return Sampling(**chosen)

    def _max_tokens_name(self) -> str:
        return "max_tokens"

    def _stop(self, limits: RequestLimits) -> tuple[str, ...]:
        assert self.stop is not None
        if len(self.stop) > limits.stop:
            raise _out_of_range("stop", f"{len(self.stop)} texts", f"at most {limits.stop}")
        for position, text in enumerate(self.stop):
            if not 1 <= len(text) <= limits.stop_chars:
                raise _out_of_range(f"stop.{position}", f"{len(text)} characters long", f"1 to {limits.stop_chars}")
        return tuple(self.stop)


_SAMPLED = tuple(name for name in SamplingFields.model_fields if name != "stop")


class ChatCompletionRequest(SamplingFields):
    """OpenAI's chat completion request, as far as it is carried out, with vLLM's sampling extensions."""

    openai_only = {
        "audio": (),
        "function_call": ("none",),
        "functions": ([],),
        "logit_bias": ({},),
        "modalities": (["text"],),
        "moderation": (),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "prompt_cache_key": (),
        "prompt_cache_options": (),
        "prompt_cache_retention": (),
        "reasoning_effort": ("none",),
        "response_format": ({"type": "text"},),
        "safety_identifier": (),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "verbosity": (),
        "web_search_options": (),
    }

    model: str = Field(description="`auto` finds the sector; else `base`, a sector's id, or `sector@version`.")
    messages: Annotated[list[ChatMessage], FailFast()]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, description="Answers to the one question.")
    max_completion_tokens: int | None = Field(None, ge=1, description="OpenAI's newer name for `max_tokens`.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    user: str | None = Field(None, description="Taken and not used.")
    metadata: dict[str, str] | None = Field(None, max_length=16, description="Taken and not used.")

    @classmethod
    def read_within(cls, body: Mapping[str, Any], limits: RequestLimits) -> Self:
        """`read`, and the checks that need the configured limits or more than one field."""
        messages = body.get("messages")
        if isinstance(messages, list) and len(messages) > limits.messages:
            raise _out_of_range("messages", f"{len(messages)} messages", f"1 to {limits.messages}")
        request = cls.read(body)
        request._check_conversation()
        if request.stream_options is not None and not request.stream:
            raise InvalidRequest("stream_options is only allowed with stream: true.", param="stream_options")
        if request.top_logprobs is not None:
            if not request.logprobs:
                raise InvalidRequest("top_logprobs is only allowed with logprobs: true.", param="top_logprobs")
            if request.top_logprobs > limits.top_logprobs:
                raise _out_of_range("top_logprobs", request.top_logprobs, f"0 to {limits.top_logprobs}")
        if request.n is not None and request.n > limits.n:
            raise _out_of_range("n", request.n, f"1 to {limits.n}")
        if None not in (request.max_tokens, request.max_completion_tokens) and (
            request.max_tokens != request.max_completion_tokens
        ):
            raise InvalidRequest(
                f"max_tokens is {request.max_tokens} and max_completion_tokens is {request.max_completion_tokens}.",
                remedy="Send one of them.",
                param="max_completion_tokens",
            )
        return request

    def chat_sampling(self, inference: InferenceConfig) -> Sampling:
        more: dict[str, Any] = {}
        if self.max_completion_tokens is not None:
            more["max_tokens"] = self.max_completion_tokens
        if self.logprobs:
            more["top_logprobs"] = self.top_logprobs or 0
        return self.sampling(inference, **more)

    def conversation(self) -> tuple[Message, ...]:
        return tuple(message.message() for message in self.messages)

    def _max_tokens_name(self) -> str:
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    def _check_conversation(self) -> None:
        if not self.messages:
            raise InvalidRequest("messages is empty.", remedy="Send at least one user message.", param="messages")
        if not any(message.role == "user" for message in self.messages):
            raise InvalidRequest("messages holds no user message.", remedy="Send at least one.", param="messages")
        last = len(self.messages) - 1
        # Where the question is empty the router has nothing to read, and the model would answer something else.
        if not self.messages[last].message().content.strip():
            raise InvalidRequest(
                f"The last message (messages.{last}) is empty.", remedy="Write the question.", param=f"messages.{last}"
            )


class InferRequest(SamplingFields):
    """One question, one answer."""

    text: str
    sector: str | None = Field(
        None, description="A sector's id, `sector@version` or `general`; left out, the router finds it."
    )


class ClassifyRequest(WireModel):
    text: str
    evidence: bool = Field(False, description="Also say which parts of the text decided.")


class AdapterRequest(WireModel):
    """Bring a sector's adapter into memory; with `folder`, let that folder serve the sector until the restart.

    What should stay is named in configs/model_config.json, as the sector's `adapter`.
    """

    sector: str
    folder: str | None = Field(None, description="Below the adapters directory.")
    pinned: bool = Field(False, description="Until the restart, never evicted to make room for another.")


def require_text(text: str) -> None:
    if not text.strip():
        raise InvalidRequest("text is empty.", remedy="Write the question.", param="text")


# --- errors ---------------------------------------------------------------------------------------------------------


def _explain(model: type[WireModel], finding: ErrorDetails) -> TurkishAiError:
    kind, context = finding["type"], finding.get("ctx", {})
    path = ".".join(str(part) for part in finding["loc"])
    if kind in ("unknown_parameter", "unsupported_parameter"):
        name = str(context["name"])
        path = f"{path}.{name[:80]}" if path else name[:80]
        if kind == "unsupported_parameter":
            return UnsupportedParameter(
                f"{path} is not carried out by this server.", remedy="Leave it out.", param=path
            )
        near = get_close_matches(name[:80], model.model_fields, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Leave it out; GET /docs lists the fields."
        shown = path if name.isidentifier() else repr(path)
        return UnknownParameter(f"{shown} is not a field of this request.", remedy=remedy, param=path)
    value = short(finding["input"])
    if kind in _RANGE_ERRORS:
        allowed = _range(model.model_fields.get(str(finding["loc"][0])), finding["msg"])
        size = context.get("actual_length")
        return _out_of_range(path, f"{size} entries long" if size is not None else value, allowed)
    if kind == "missing":
        return InvalidRequest(f"{path} is missing.", remedy="GET /docs shows the request.", param=path)
    if kind == "literal_error" and (unsupported := _unsupported_value(path, finding["input"])):
        return unsupported
    expected = _EXPECTED.get(kind, finding["msg"])
    if kind == "literal_error":
        expected = str(context["expected"])
    if path.endswith(".content"):
        expected = "a text, or a list of parts {type: text, text: ...}"
    return InvalidRequest(f"{path} is {value}; expected {expected}.", param=path)


_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def _unsupported_value(path: str, value: object) -> TurkishAiError | None:
    """Roles and kinds of content that OpenAI's API knows and this server does not carry out."""
    if path.endswith(".role") and value in ("tool", "function"):
        return UnsupportedParameter(f"{path} {value!r} is not carried out by this server.", param=path)
    if path.endswith(".type") and value in ("image_url", "input_audio", "file", "refusal"):
        return UnsupportedParameter(
            f"{path} {value!r} is not carried out by this server.", remedy="Send text.", param=path
        )
    return None


def _range(field: FieldInfo | None, otherwise: str) -> str:
    bounds: dict[str, str] = {}
    for rule in field.metadata if field else ():
        match rule:
            case Ge(ge=low):
                bounds["low"] = f"{low}"
            case Gt(gt=low):
                bounds["low"] = f"above {low}"
            case Le(le=high):
                bounds["high"] = f"to {high}"
            case MinLen(min_length=low):
                bounds["low"] = f"at least {low} entries"
            case MaxLen(max_length=high):
                bounds["high"] = f"at most {high} entries"
    if "low" in bounds and "high" not in bounds:
        return f"{bounds['low']} or more"
    return " ".join(bounds[key] for key in ("low", "high") if key in bounds) or otherwise


def _out_of_range(param: str, value: object, allowed: str) -> ValueOutOfRange:
    return ValueOutOfRange(f"{param} is {value}; allowed: {allowed}.", param=param)


def short(value: object) -> str:
    """A value from outside, fit to stand in a message."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
