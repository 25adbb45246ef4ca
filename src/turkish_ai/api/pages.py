"""The page at `/` and the documentation at `/docs`: our own files, so that they work on a machine without a network.

The files in `turkish_ai/web` are read once, when the routes are added, and served from memory. Knows nothing of what
the pages do.
"""

import hashlib
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from turkish_ai.errors import NotFound

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def add_routes(app: FastAPI, *, web_dir: Path) -> None:
    files = {path.name: path.read_bytes() for path in sorted(web_dir.iterdir()) if path.suffix in _MEDIA_TYPES}

    def file(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound(f"There is no file {name[:80]!r}.", remedy="The page is at /.")
        content = files[name]
        # no-cache asks again each time and costs 304s; a new version's script never meets an old page.
        headers = {
            "etag": f'"{hashlib.sha256(content).hexdigest()[:16]}"',
            "cache-control": "no-cache",
            "content-security-policy": PAGE_POLICY,
        }
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        headers["content-type"] = _MEDIA_TYPES[Path(name).suffix]
        return Response(content, headers=headers)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return file(request, "index.html")

    @app.get("/docs", include_in_schema=False)
    async def documentation(request: Request) -> Response:
        return file(request, "docs.html")

    @app.get("/web/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        return file(request, name)
