"""How a process that runs for long logs: lines of text, or JSON lines for who collects them. Without secrets."""

from __future__ import annotations

import logging
import re
import threading
import traceback
from datetime import UTC, datetime
from typing import Literal

import orjson

from dovetail.shared.options import learn
from dovetail.shared.secrets import redacted
from dovetail.shared.settings import Settings

Kind = Literal["text", "json"]
MOST = 2_000
"""Characters of a field."""
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def start(kind: Kind) -> None:
    """What is logged from now on goes to stderr as `kind` says, unless whoever runs this process has set that up."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the client raises what it logs, and tries on and on
    if kind == "json":  # what Python itself writes there, too
        logging.captureWarnings(True)
        threading.excepthook = _told


def start_as(settings: Settings) -> None:
    """The same as a project's settings say, which refer to secrets that are in no line from now on."""
    for given in (settings.kafka.options, settings.spark.conf):
        learn(given, folder=settings.folder)
    start(settings.telemetry.logs)


class JsonLines(logging.Formatter):
    """A JSON object a line: time, level, logger, message; exception and stack where there is one; trace in a span."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": _head(record.name),
            "message": _head(_message(record)),
        }
        if error := _error(record):
            stack = _sound("".join(traceback.format_exception(error)))
            fields |= {"exception": _head(type(error).__name__), "stack": _tail(stack)}
        if trace := _trace():
            fields["trace"] = trace
        return inert(orjson.dumps(fields).decode())


class TextLines(logging.Formatter):
    """Level, logger and message in a line, and below it the stack where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = inert(_head(f"{record.levelname.lower()}: {record.name}: {_message(record)}"))
        if error := _error(record):
            stack = _sound("".join(traceback.format_exception(error)))
            line = "\n".join([line, *map(inert, stack.rstrip().split("\n"))])
        return line


def inert(document: str) -> str:
    """Text with every character escaped that a terminal might obey; to who reads it as JSON it is the same.

    >>> print(inert('"\x9b31m, \u202eback, é"'))
    "\\u009b31m, \\u202eback, é"
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  arguments that do not fit: what is known is still said
        return f"{record.msg} {record.args}"


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def _sound(text: str) -> str:
    """Without secrets, and without halves of characters, which are no UTF-8."""
    return redacted(text).encode("utf-8", "backslashreplace").decode()


def _head(text: str) -> str:
    text = _sound(text)  # before it is cut: half a secret is not known as one
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _tail(text: str) -> str:
    return text if len(text) <= MOST else f"…{text[1 - MOST :]}"


def _trace() -> str:
    """The id of the trace that this is part of; empty where there is none."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def _told(died: threading.ExceptHookArgs) -> None:
    """Logs what ended a thread."""
    name = died.thread.name if died.thread else "a thread"
    logging.getLogger(__name__).critical("%s ended", name, exc_info=died.exc_value)
