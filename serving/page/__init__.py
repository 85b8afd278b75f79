"""The live page: files that hold no data, and that load and send nothing beside this server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI, Response

SCRIPTS = (
    "page", "elements", "server", "standing", "changes", "question", "answer", "chart", "layers", "words", "embed",
)  # fmt: skip
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add(app: FastAPI) -> None:
    """Adds the page's routes; its files are read now."""
    for path, (name, kind) in FILES.items():
        app.get(path, include_in_schema=False)(_sent((files(__name__) / name).read_bytes(), kind))


def _sent(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return send
