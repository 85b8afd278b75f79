"""The control of the answers benchmark: a FastAPI route that returns ready rows as a dict."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI


def main(file: str, port: str) -> None:
    rows: dict[str, Any] = json.loads(Path(file).read_text())
    app = FastAPI()

    @app.get("/q")
    async def answer(shop: str, product: str) -> dict[str, Any]:
        found: dict[str, Any] = rows[f"{shop}|{product}"]
        return found

    uvicorn.run(app, port=int(port), access_log=False, log_level="warning", proxy_headers=False, server_header=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
