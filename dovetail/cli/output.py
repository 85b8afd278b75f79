"""How commands speak: lines and tables for people, one JSON document a result for programs, errors on stderr."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import orjson
from rich.console import Console
from rich.markup import escape

from dovetail.shared.errors import DovetailError
from dovetail.shared.logs import inert
from dovetail.shared.secrets import redacted

BEGAN = time.monotonic()
WIDE = 10_000
"""Tables are as wide as what they hold, on a terminal and in a file alike: nothing is cut off."""
MARKS = {"ok": "[green]ok[/]  ", "note": "[cyan]note[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


class Output:
    """Writes results to stdout and everything else to stderr. NO_COLOR and pipes are respected by rich."""

    log: ClassVar[logging.Logger | None] = None
    """Where everything else goes instead, in a process that logs JSON lines."""

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
        if self.log:
            self.log.info(text)
        elif not self.as_json:
            self.err.print(f"[dim]{time.monotonic() - self._began:5.0f} s[/]  {escape(redacted(text))}")

    def event(self, text: str, **document: Any) -> None:
        """Something that happened in a long run: a note for people, a document for programs."""
        self.note(text)
        self.result(document)

    def result(self, document: Any) -> None:
        """The result for programs; nothing without --json."""
        if self.as_json:
            self.out.out(inert(orjson.dumps(document, default=str).decode()), highlight=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> None:
        """A table for people; nothing with --json. Columns in `right` hold figures and end on one line."""
        if self.as_json:
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=bool(columns))
        for column in columns:
            table.add_column(escape(column), justify="right" if column in right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(escape(shown(value)) for value in row))
        Console(highlight=False, width=WIDE).print(table)

    def checked(self, level: str, name: str, found: str, mend: str = "") -> None:
        """One line of a list of checks, and how to mend it under it."""
        if not self.as_json:
            self.out.print(f"{MARKS[level]}  {escape(f'{name:<16}')}  {escape(found)}")
            if mend:
                self.out.print(f"[dim]      {'':<16}  {escape(mend)}[/]")

    def problem(self, text: str, *, where: str = "", next: str = "", page: str = "") -> None:  # noqa: A002
        """One thing that is wrong, the one command that helps, and the page that says more."""
        if not self.as_json:
            self.out.print(f"[bold red]![/]  {escape(text)}" + (f"  [dim]({escape(where)})[/]" if where else ""))
            if next:
                self.out.print(f"     [dim]next[/]  {escape(next)}")
            if page:
                self.out.print(f"[dim]     page  {escape(page)}[/]")

    def warn(self, text: str) -> None:
        """A line about what is probably not meant; for people, and on stderr with --json too."""
        if self.log:
            self.log.warning(text)
        else:
            self.err.print(f"[yellow]warning[/]  {escape(redacted(text))}")

    def error(self, text: str) -> None:
        self.err.print(escape(text), style="red")

    def meter(self, unit: str, size: int | None) -> Meter:
        """For a long piece of work; see Meter."""
        return Meter(self, unit, size)

    def progress(self) -> Callable[[str], None]:
        """A sink for progress lines: each one once, and at most one a second where nobody watches."""
        shown = {"at": 0.0, "text": ""}

        def show(text: str) -> None:
            now = time.monotonic()
            if text != shown["text"] and (now - float(str(shown["at"])) > 1 or self.err.is_terminal):
                shown.update(at=now, text=text)
                self.note(text)

        return show


class Meter:
    """Shows how far a long piece of work is, with its rate and what is left: a bar on a terminal, else plain lines.

    Args:
        unit: what is counted.
        size: how much there is to read in bytes, None where that is not known.
    """

    def __init__(self, output: Output, unit: str, size: int | None) -> None:
        self._output, self._unit, self._size = output, unit, size
        self._began = self._shown = time.monotonic()
        self._bar = output.err.status("") if output.err.is_terminal and not output.as_json else None

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._began

    def __call__(self, done: int, read: int) -> None:
        """`done` of the unit are done, `read` bytes are read."""
        now = time.monotonic()
        if now - self._shown < (0.1 if self._bar else 2):
            return
        self._shown = now
        seconds = self.seconds
        text = f"{done:,} {self._unit}, {done / seconds:,.0f} a second"
        if self._size and read:
            text += f", {100 * read / self._size:.0f} %, {seconds * (self._size - read) / read:,.0f} s to go"
        if self._bar:
            self._bar.update(text)
        else:
            self._output.note(text)


def waited() -> float:
    """Seconds since this module was loaded, the verb's own imports included."""
    return time.monotonic() - BEGAN


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "source"), counted(1200, "record")
    ('1 source', '1,200 records')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shown(value: object) -> str:
    """A value as people read it in a table.

    >>> shown(3918), shown(Decimal("412880.15")), shown(None), shown("94217")
    ('3,918', '412,880.15', 'null', '94217')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}" if isinstance(value, int | float | Decimal) else str(value)


def complain(output: Output, error: DovetailError) -> None:
    """Prints what, where, why and the next command; as one JSON document with --json."""
    said = {"what": error.what, "where": error.where, "why": error.why, "next": error.next}
    parts = {name: redacted(text) for name, text in said.items()}
    if output.log:
        output.log.error("%s", error, exc_info=error)
    if output.as_json:
        document = {"error": {k: v for k, v in parts.items() if v}, "kind": type(error).__name__}
        output.err.out(orjson.dumps(document).decode(), highlight=False)
    if output.as_json or output.log:
        return
    output.err.print(f"[bold red]error[/]  {escape(parts['what'])}")
    for name in ("where", "why", "next"):
        if parts[name]:
            output.err.print(f"[dim]{name:>5}[/]  {escape(parts[name])}")


def crashed(output: Output, error: Exception) -> None:
    """Says that this is a bug, and where."""
    said = "dovetail crashed. This is a bug in Dovetail: please report it"
    if output.log:
        output.log.critical(said, exc_info=error)
    else:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
        output.error(f"{said} with the lines above.")
