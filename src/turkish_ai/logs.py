"""Where log lines go and what they look like: JSON for machines, columns for people.

`configure` is called once, by `app`, before anything is built. Every line of a request carries its id. Callers log
events and figures; nobody logs what a user or the model wrote, and tracebacks here never show local variables.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.types import Processor

_QUIET = ("httpx", "httpcore", "urllib3", "filelock", "huggingface_hub", "transformers")
"""Libraries whose every step is not ours to report."""
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


def configure(*, level: str, fmt: Literal["auto", "json", "console"]) -> None:
    """Send every log line of the process to stderr. `auto` is columns on a terminal, JSON elsewhere."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    columns = fmt == "console" or (fmt == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(columns=columns)],
        )
    )
    root = logging.getLogger()
    for earlier in [h for h in root.handlers if getattr(h, "turkish_ai", False)]:
        root.removeHandler(earlier)
    handler.turkish_ai = True  # type: ignore[attr-defined]  # ours to replace; others (a test's) stay
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # `api.envelope` writes the line, with id, route and time
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _rendering(*, columns: bool) -> list[Processor]:
    if columns:
        # The default renderer would print local variables with a traceback: a user's words among them.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
