"""A headless Chromium of this machine, and a page in it that tells what went wrong and where it asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
TIMEOUT_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("could: no chromium is on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET.split(), timeout=TIMEOUT_MS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: Any, fragment: str = "", **options: Any) -> Iterator[Page]:
    """The page at a server. Fails where its scripts failed, or it asked anything of another origin."""
    wrong: list[str] = []
    asked: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}{fragment}")
    yield page
    context.close()
    assert not wrong
    own = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, asked) if parts.scheme != "data"}
    assert own == {str(url).rstrip("/")}
