"""Every error this project raises on purpose, in one tree.

Each type says which HTTP status it becomes, OpenAI's error `type` and `code`, and whether trying again can help.
Raised everywhere; turned into a response in `api.errors`, into a terminal message in `cli`. Knows nothing of either.
"""

from typing import ClassVar


class TurkishAiError(Exception):
    """The root. `message` names what was wrong and the value; `remedy` says what to do about it.

    `message_tr` and `remedy_tr` say the same in Turkish, in errors that somebody meets who sets the server up. Where
    they are None there is only the English.
    """

    http_status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        message_tr: str | None = None,
        remedy_tr: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.message_tr = message_tr
        self.remedy_tr = remedy_tr
        self.param = param
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


# --- the caller's request -------------------------------------------------------------------------------------------


class InvalidRequest(TurkishAiError):
    """The request cannot be read: broken JSON, a missing field, a wrong type."""

    http_status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class UnknownParameter(InvalidRequest):
    """A field that this API does not know; refused by name, because ignoring it would answer another question."""

    code = "unknown_parameter"


class UnsupportedParameter(InvalidRequest):
    """A field that OpenAI's API knows and this server does not carry out."""

    code = "unsupported_parameter"


class ValueOutOfRange(InvalidRequest):
    """A field that is known, of the right type, and outside the allowed values."""

    http_status = 422
    code = "value_out_of_range"


class BodyTooLarge(InvalidRequest):
    http_status = 413
    code = "body_too_large"


class BodyTooSlow(InvalidRequest):
    """The body did not arrive in the time that `inference.limits.body_seconds` allows."""

    http_status = 408
    code = "body_too_slow"
    retryable = True


class UnreadableRequest(InvalidRequest):
    """What a client sent is not HTTP, or not unambiguously so."""

    code = "unreadable_request"


class HeadersTooLarge(InvalidRequest):
    http_status = 431
    code = "headers_too_large"


class HeadersTooSlow(InvalidRequest):
    """The headers did not arrive in the time that `inference.limits.header_seconds` allows."""

    http_status = 408
    code = "headers_too_slow"
    retryable = True


class UnsupportedMediaType(InvalidRequest):
    """The body is not JSON in UTF-8, or says that it is not."""

    http_status = 415
    code = "unsupported_media_type"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer together exceed what the model can attend to, or what the KV memory can ever hold."""

    code = "context_length_exceeded"


class UnknownModel(InvalidRequest):
    http_status = 404
    code = "model_not_found"


class UnknownSector(InvalidRequest):
    http_status = 404
    code = "sector_not_found"


class NotFound(InvalidRequest):
    http_status = 404
    code = "not_found"


class MethodNotAllowed(InvalidRequest):
    http_status = 405
    code = "method_not_allowed"


class AdminKeyWrong(InvalidRequest):
    """An admin call without the key, or with another one."""

    http_status = 401
    code = "admin_key_wrong"


class AdminCrossOrigin(InvalidRequest):
    """An admin call that a browser sends for another site's page."""

    http_status = 403
    code = "admin_cross_origin"


# --- adapters -------------------------------------------------------------------------------------------------------


class AdapterError(TurkishAiError):
    type = "invalid_request_error"


class AdapterNotFound(AdapterError):
    """The sector is known and has no adapter here. Never answered with the base model under the sector's name."""

    http_status = 404
    code = "adapter_not_found"


class AdapterRefused(AdapterError):
    """The files are not an adapter that this engine may serve; the message names what was found and expected."""

    http_status = 422
    code = "adapter_refused"


class AdapterBroken(AdapterRefused):
    """A question needs an adapter that the engine refuses: the server's files are wrong, not the request."""

    http_status = 503
    type = "server_error"


class AdapterShared(AdapterError):
    """Another sector answers with it too, so it was not taken away."""

    http_status = 409
    code = "adapter_shared"


class AdapterInUse(AdapterError):
    """Requests are decoding with it, so it was not taken away."""

    http_status = 409
    code = "adapter_in_use"
    retryable = True


class AdapterMemoryFull(AdapterError):
    """Every resident adapter is pinned or in use, so there is no room for another; nothing was evicted."""

    http_status = 503
    type = "server_error"
    code = "adapter_memory_full"
    retryable = True


# --- the engine -----------------------------------------------------------------------------------------------------


class EngineError(TurkishAiError):
    pass


class QueueFull(EngineError):
    """Refused before the first byte: the waiting line is at its limit."""

    http_status = 503
    code = "queue_full"
    retryable = True


class TooManyConnections(EngineError):
    """Refused before the request: as many clients are connected as `inference.limits.connections` allows."""

    http_status = 503
    code = "too_many_connections"
    retryable = True


class Draining(EngineError):
    """The server is stopping and takes nothing new; a running stream that outlived the limit ends with this too."""

    http_status = 503
    code = "draining"
    retryable = True


class EngineUnavailable(EngineError):
    """The engine is not loaded yet, or its worker has died."""

    http_status = 503
    code = "engine_unavailable"
    retryable = True


class GenerationFailed(EngineError):
    """This request failed while decoding; the others were not touched."""

    code = "generation_failed"
    retryable = True


class UnsupportedModel(EngineError):
    """The base model needs something that the embedded engine does not do; found at load, before any answer."""

    code = "unsupported_model"


# --- starting -------------------------------------------------------------------------------------------------------


class SettingsError(TurkishAiError):
    """A setting is unknown or wrong: the message names file or variable, path, value and what is allowed."""

    code = "settings_error"


class BaseModelUnavailable(TurkishAiError):
    """The base model could not be fetched, checked or converted."""

    code = "base_model_unavailable"


class DataError(TurkishAiError):
    """A data file has a line that cannot be used; the message names file, line and reason."""

    code = "data_error"
