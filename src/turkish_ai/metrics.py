"""Every Prometheus series of the project, in one place.

One `Metrics` per process (or per test), built by `app` around its own registry and handed to whoever sets a series.
Labels come from closed sets: an unknown value becomes `other`. Knows nothing of who calls it.
"""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from turkish_ai.messages import GENERAL

OTHER = "other"
_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_TOKEN_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_ROUTER_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)
_RATIO = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_BATCH = (1, 2, 4, 8, 16, 22, 32, 64, 128)

OUTCOMES = ("stop", "length", "cancelled", "refused", "failed")
"""How a turn ends. `refused`: before the first byte; `cancelled`: the client went away; `failed`: an error later."""


class Metrics:
    """The series, as attributes; `render()` is the text that Prometheus scrapes."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, *, sectors: Collection[str], routes: Collection[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._sectors = frozenset(sectors) | {GENERAL}
        self._routes = set(routes)
        r = self.registry
        self.http_requests = Counter(
            "turkish_ai_http_requests_total", "HTTP requests answered.", ["route", "method", "status"], registry=r
        )
        self.http_seconds = Histogram(
            "turkish_ai_http_request_seconds",
            "From a request's first byte to its answer's last.",
            ["route"],
            buckets=_LATENCY_S,
            registry=r,
        )
        self.turns = Counter(
            "turkish_ai_turns_total", "Questions, by how they ended.", ["sector", "outcome"], registry=r
        )
        self.turn_seconds = Histogram(
            "turkish_ai_turn_seconds", "From question to the answer's end.", ["sector"], buckets=_LATENCY_S, registry=r
        )
        self.tokens = Counter("turkish_ai_tokens_total", "Tokens read and written.", ["sector", "kind"], registry=r)
        self.router_choices = Counter(
            "turkish_ai_router_choices_total", "Questions routed, by the sector found.", ["sector"], registry=r
        )
        self.router_fallbacks = Counter(
            "turkish_ai_router_fallbacks_total",
            "Questions that `general` answered because the sector found has no adapter.",
            ["sector"],
            registry=r,
        )
        self.router_confidence = Histogram(
            "turkish_ai_router_confidence_ratio", "Confidence of the router's choice.", buckets=_RATIO, registry=r
        )
        self.router_seconds = Histogram(
            "turkish_ai_router_seconds", "Time to choose a sector.", buckets=_ROUTER_S, registry=r
        )
        self.references = Counter(
            "turkish_ai_references_total",
            "Questions to a grounded adapter, by whether a taught answer was found for it.",
            ["sector", "found"],
            registry=r,
        )
        self.queue_length = Gauge("turkish_ai_engine_queue_requests", "Answers waiting for the batch.", registry=r)
        self.batch_size = Gauge("turkish_ai_engine_batch_requests", "Answers being decoded.", registry=r)
        self.batch_rows = Histogram(
            "turkish_ai_engine_step_rows", "Answers in a decode step.", buckets=_BATCH, registry=r
        )
        self.kv_used_bytes = Gauge("turkish_ai_engine_kv_used_bytes", "KV memory reserved by answers.", registry=r)
        self.kv_capacity_bytes = Gauge("turkish_ai_engine_kv_capacity_bytes", "KV memory in all.", registry=r)
        self.step_seconds = Histogram(
            "turkish_ai_engine_step_seconds", "One step of the batch.", buckets=_TOKEN_S, registry=r
        )
        self.first_token_seconds = Histogram(
            "turkish_ai_engine_first_token_seconds",
            "From a request's arrival at the engine to its first token.",
            buckets=_LATENCY_S,
            registry=r,
        )
        self.token_seconds = Histogram(
            "turkish_ai_engine_token_seconds", "Between two tokens of an answer.", buckets=_TOKEN_S, registry=r
        )
        self.engine_tokens = Counter(
            "turkish_ai_engine_tokens_total", "Tokens that went through the model.", ["phase"], registry=r
        )
        self.engine_refusals = Counter(
            "turkish_ai_engine_refusals_total", "Requests that the engine did not take.", ["code"], registry=r
        )
        self.engine_up = Gauge("turkish_ai_engine_ready", "1 while the engine would decode a request.", registry=r)
        self.adapters_resident = Gauge("turkish_ai_adapters_resident", "Adapters in memory.", registry=r)
        self.adapter_bytes = Gauge("turkish_ai_adapters_resident_bytes", "Memory of resident adapters.", registry=r)
        self.adapter_table_bytes = Gauge(
            "turkish_ai_engine_adapter_table_bytes",
            "Memory of the tables that hold each decoding row's adapter.",
            registry=r,
        )
        self.adapter_loads = Counter(
            "turkish_ai_adapter_loads_total", "Adapters brought into memory.", ["outcome"], registry=r
        )
        self.adapter_evictions = Counter(
            "turkish_ai_adapter_evictions_total", "Adapters that made room for another.", registry=r
        )
        self.adapter_load_seconds = Histogram(
            "turkish_ai_adapter_load_seconds", "Reading and checking an adapter.", buckets=_LATENCY_S, registry=r
        )

    def sector(self, sector: str) -> str:
        return sector if sector in self._sectors else OTHER

    def route(self, route: str) -> str:
        return route if route in self._routes else OTHER

    def know_routes(self, routes: Collection[str]) -> None:
        self._routes.update(routes)

    def render(self) -> bytes:
        return generate_latest(self.registry)
