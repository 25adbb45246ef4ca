"""`/health`, `/ready` and `/metrics`, for whoever watches the server.

`/health` fails only when nothing but a restart helps; `/ready` says whether a question asked now would be answered.
"""

from fastapi import FastAPI
from starlette.responses import Response

from turkish_ai.api.answers import json_response
from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.api.openapi import AliveAnswer, ReadyAnswer
from turkish_ai.metrics import Metrics

_TAG = "Health"


def add_routes(app: FastAPI, *, lifecycle: Lifecycle, metrics: Metrics, version: str, retry_after_s: int) -> None:
    @app.get(
        "/health",
        tags=[_TAG],
        summary="Is the process alive?",
        responses={200: {"model": AliveAnswer}, 503: {"model": AliveAnswer, "description": "Restart it."}},
    )
    async def health() -> Response:
        standing = lifecycle.standing()
        dead = standing.phase == "dead"
        body = {"status": "dead" if dead else "alive", "version": version, "detail": standing.detail}
        return json_response(body, status=503 if dead else 200)

    @app.get(
        "/ready",
        tags=[_TAG],
        summary="Would a question be answered now?",
        responses={200: {"model": ReadyAnswer}, 503: {"model": ReadyAnswer, "description": "Not now."}},
    )
    async def ready() -> Response:
        standing = lifecycle.standing()
        body = {"status": standing.phase, "detail": standing.detail}
        if standing.phase == "ready":
            return json_response(body)
        return json_response(body, status=503, headers={"retry-after": str(retry_after_s)})

    @app.get("/metrics", tags=[_TAG], summary="Prometheus metrics", response_class=Response)
    async def prometheus_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": Metrics.content_type})
