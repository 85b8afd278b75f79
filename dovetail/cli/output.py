"""How commands speak: lines and tables for people, one JSON document a result for programs, errors on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape

from dovetail.shared.errors import DovetailError


class Output:
    """Writes results to stdout and everything else to stderr. NO_COLOR and pipes are respected by rich."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    def line(self, text: str, *, style: str = "") -> None:
        """A line of the result for people; nothing with --json."""
        if not self.as_json:
            self.out.print(escape(text), style=style or None)

    def note(self, text: str) -> None:
        """A line about what is going on, with the seconds since the command began."""
        if not self.as_json:
            self.err.print(f"[dim]{time.monotonic() - self._began:5.0f} s[/]  {escape(text)}")

    def result(self, document: Any) -> None:
        """The result for programs; nothing without --json."""
        if self.as_json:
            self.out.out(orjson.dumps(document, default=str).decode(), highlight=False)

    def error(self, text: str) -> None:
        self.err.print(escape(text), style="red")

    def progress(self) -> Callable[[str], None]:
        """A sink for progress lines: each one once, and at most one a second where nobody watches."""
        shown = {"at": 0.0, "text": ""}

        def show(text: str) -> None:
            now = time.monotonic()
            if text != shown["text"] and (now - float(str(shown["at"])) > 1 or self.err.is_terminal):
                shown.update(at=now, text=text)
                self.note(text)

        return show


def complain(output: Output, error: DovetailError) -> None:
    """Prints what, where, why and the next command; as one JSON document with --json."""
    parts = {"what": error.what, "where": error.where, "why": error.why, "next": error.next}
    if output.as_json:
        document = {"error": {k: v for k, v in parts.items() if v}, "kind": type(error).__name__}
        output.err.out(orjson.dumps(document).decode(), highlight=False)
        return
    output.err.print(f"[bold red]error[/]  {escape(error.what)}")
    for name in ("where", "why", "next"):
        if parts[name]:
            output.err.print(f"[dim]{name:>5}[/]  {escape(parts[name])}")
