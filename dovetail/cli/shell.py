"""The SQL shell: statements that end with `;`, completion of what the server's views hold, a history of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from dovetail.cli.ask import show_sql
from dovetail.cli.output import Output, complain
from dovetail.shared import asking
from dovetail.shared.errors import DovetailError, UsageError, unknown

PROMPT, GOES_ON = "sql> ", "...> "
HELP = r"a statement ends with ;   \d lists the views   \d VIEW its columns   \q ends"
COMMANDS = (r"\d", r"\q", r"\?")
WORDS = (
    "SELECT FROM WHERE AND OR NOT IN BETWEEN LIKE IS NULL GROUP BY HAVING ORDER ASC DESC LIMIT OFFSET AS JOIN LEFT "
    "FULL USING TRUE FALSE DATE TIMESTAMP MEASURE( DATE_TRUNC( TIME_BUCKET( bucket"
).split()
PLAIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def run(output: Output, server: str, *, session: PromptSession[str] | None = None) -> None:
    r"""Asks for statements until `\q` or the end of the input; what is refused is shown, and the shell goes on.

    Raises:
        ServiceMissing: no server answers at the start.
    """
    names = Names(server)
    names.look()
    session = session or PromptSession(
        PROMPT, multiline=Condition(_goes_on), prompt_continuation=GOES_ON, history=history(), completer=Offered(names)
    )
    output.line(f"{server}   {HELP}", style="dim")
    while True:
        try:
            text = session.prompt().strip()
            if text == r"\q":
                return
            _do(output, server, names, text)
        except DovetailError as error:
            complain(output, error)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def history() -> History:
    """What was typed before, in a file that only its owner may read: it holds values of conditions."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dovetail"
    file = folder / "sql_history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_APPEND, 0o600))
        file.chmod(0o600)  # also one that was there
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))


@dataclass
class Names:
    r"""What the server's views hold, as of the start and of each `\d`."""

    server: str
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What each says of itself; empty where it cannot be answered now."""

    def look(self) -> None:
        self.views = {line["view"]: {} for line in asking.views(self.server)}
        for name in self.views:
            try:
                self.views[name] = asking.view(self.server, name)
            except DovetailError:
                continue  # its standing says so where it is asked for

    def columns(self, view: str) -> Iterator[tuple[str, str, str]]:
        """Each name as it is written in a statement, its type, and what it is."""
        told = self.views[view]
        for name, kind in told.get("keys", {}).items():
            yield quoted(name), kind, "key"
        for dimension, of in told.get("dimensions", {}).items():
            for name, kind in of["columns"].items():
                yield quoted(f"{dimension}.{name}"), kind, "dimension"
        if told.get("bucket"):
            yield "bucket", "timestamp", f"time, in buckets of {told['bucket']}"
        for name, kind in told.get("measures", {}).items():
            yield f"MEASURE({quoted(name)})", kind, "measure"
            for part in told.get("parts", {}).get(name, ()):
                yield f"MEASURE({quoted(f'{name}.{part}')})", "", "part of a measure"


class Offered(Completer):
    """Offers words of SQL, views, and the columns and measures of the views that are named, or of all."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        word = re.search(r"[\w.\\\"]*$", document.text_before_cursor)
        typed = word[0] if word else ""
        before = document.text_before_cursor[: len(document.text_before_cursor) - len(typed)]
        for name in self._possible(document.text, before):
            shown = re.sub(r"MEASURE\((.*)\)", r"\1", name)
            if (
                typed
                and typed.lower() != name.lower()
                and any(n.lower().startswith(typed.lower()) for n in (name, shown))
            ):
                yield Completion(name, start_position=-len(typed))

    def _possible(self, text: str, before: str) -> list[str]:
        views = self._names.views
        if text.startswith("\\"):
            return [*map(quoted, views)] if before.strip() else [*COMMANDS]
        named = [view for view in views if re.search(rf"\b{re.escape(view)}\b", text)] or [*views]
        columns = list(dict.fromkeys(name for view in named for name, _, _ in self._names.columns(view)))
        if before.upper().endswith("MEASURE("):
            return [name.removeprefix("MEASURE(") for name in columns if name.startswith("MEASURE(")]
        return [*columns, *map(quoted, views), *WORDS]


def quoted(name: str) -> str:
    """A name as a statement has it.

    >>> quoted("products.vendor"), quoted("group"), quoted("of 2")
    ('products.vendor', '"group"', '"of 2"')
    """
    plain = PLAIN.fullmatch(name) and name.upper() not in WORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def _goes_on() -> bool:
    """Whether Enter begins a new line: a statement ends with a semicolon, a command with its line."""
    text = get_app().current_buffer.text.strip()
    return bool(text) and not text.startswith("\\") and not text.endswith(";")


def _do(output: Output, server: str, names: Names, text: str) -> None:
    if not text.startswith("\\"):
        if text.strip("; \n"):
            show_sql(output, asking.ask_sql(server, text))
        return
    command, _, view = text.rstrip("; ").partition(" ")
    if command == r"\?":
        output.line(HELP)
        return
    if command != r"\d":
        raise UsageError(unknown("command", command, COMMANDS), next=HELP)
    if view:
        name = view.strip().strip('"')
        names.views[name] = told = asking.view(server, name)
        output.table(("column", "type", "what"), list(names.columns(name)))
        output.result(told)
        return
    names.look()
    lines = asking.views(server)
    output.table(("view", "standing"), [(line["view"], line["standing"]) for line in lines])
    output.result({"views": lines})
