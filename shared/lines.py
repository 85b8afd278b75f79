"""The records in a file of JSON lines or CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

import orjson

from dovetail.shared.declare import Source
from dovetail.shared.errors import UsageError, unknown
from dovetail.shared.produce import Line, doubts

Form = Literal["jsonl", "csv"]

INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def form_of(file: str, form: str | None) -> Form:
    """How a file is written: as `form` says, else by its name, JSON lines where that tells nothing.

    Raises:
        UsageError: `form` is none there is.
    """
    if form is None:
        return "csv" if file.lower().endswith(".csv") else "jsonl"
    if form not in ("jsonl", "csv"):
        raise UsageError(unknown("format", form, ("jsonl", "csv")))
    return "csv" if form == "csv" else "jsonl"


def records(
    file: Iterable[bytes],
    source: Source,
    *,
    form: Form,
    key: str | None = None,
    on_doubt: Callable[[str], None] = lambda _: None,
) -> Iterator[Line]:
    """The records of a file; calls `on_doubt` for what is probably not meant, judged by the first record or header."""
    lines = csv_lines(file, source, key=key) if form == "csv" else json_lines(file, key=key)
    for first in lines:
        if not first.bad:
            for doubt in doubts(source, orjson.loads(first.value)):
                on_doubt(doubt)
        yield first
        break
    yield from lines


def json_lines(file: Iterable[bytes], *, key: str | None = None) -> Iterator[Line]:
    """A record for each line that is not blank, its bytes as they are; `key` is the field that becomes Kafka's key."""
    read = 0
    for number, raw in enumerate(file, start=1):
        read += len(raw)
        value = raw.strip()
        if not value:
            continue
        try:
            document = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            yield Line(number, value, bad=f"not JSON: {error}", read=read)
            continue
        if isinstance(document, dict):
            yield Line(number, value, _key(document.get(key)) if key else None, read=read)
        else:
            yield Line(number, value, bad="not a JSON object", read=read)


def csv_lines(file: Iterable[bytes], source: Source, *, key: str | None = None) -> Iterator[Line]:
    """A record for each row under the header, its cells as the schema's types; an empty cell is null.

    A column that the schema does not have becomes text. A bad row is given as the text it is in the file.

    Raises:
        UsageError: there is no header, or it names a column twice, or not the one that is to be the key.
    """
    texts = _Texts(file)
    rows = csv.reader(texts, strict=True)
    header = _header(next(rows, []), key)
    texts.taken()
    cells = [cell(source.columns.get(name, "string")) for name in header]
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Line(number, texts.taken(), bad=f"not CSV: {error}", read=texts.read)
            continue
        raw = texts.taken()
        if row is None:
            return
        if row:
            yield _line(number, raw, row, header, cells, key, texts.read)


class _Texts:
    """The lines of a file as text, remembering those that were read since they were last taken."""

    def __init__(self, file: Iterable[bytes]) -> None:
        self._file, self._since, self.read = iter(file), list[bytes](), 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = next(self._file)
        self._since.append(raw)
        raw_text = raw.removeprefix(b"\xef\xbb\xbf") if not self.read else raw
        self.read += len(raw)
        return raw_text.decode("utf-8", "surrogateescape")

    def taken(self) -> bytes:
        raw, self._since = b"".join(self._since).rstrip(b"\r\n"), []
        return raw


def _header(names: list[str], key: str | None) -> list[str]:
    if not names:
        raise UsageError("the file is empty: CSV begins with a line of column names")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"column '{name}' stands twice in the header")
    if key is not None and key not in names:
        raise UsageError(unknown("column", key, names), where="the header", why="it is to be the key of each record")
    return names


def _line(
    number: int,
    raw: bytes,
    row: list[str],
    header: list[str],
    cells: list[Callable[[str], Any]],
    key: str | None,
    read: int,
) -> Line:
    if len(row) != len(header):
        return Line(number, raw, bad=f"{len(row)} cells under {len(header)} columns", read=read)
    document: dict[str, Any] = {}
    for name, text, cell in zip(header, row, cells, strict=True):
        try:
            document[name] = None if text == "" else cell(text)
        except ValueError as error:
            return Line(number, raw, bad=f"column {name}: {error}", read=read)
    try:
        value = orjson.dumps(document)
    except orjson.JSONEncodeError:
        return Line(number, raw, bad="not UTF-8", read=read)
    found = dict(zip(header, row, strict=True)).get(key) if key else None
    return Line(number, value, _key(found), read=read)


def cell(kind: str) -> Callable[[str], Any]:
    """From a cell's text to a JSON value of a column of this type; raises ValueError for text that is none."""
    base = re.split(r"[(<\s]", kind.lower())[0]
    return _CELLS.get(base, str)


def _integer(text: str) -> Any:
    if not INTEGER.fullmatch(text.strip()):
        raise ValueError(f"'{text}' is not a whole number")
    return orjson.Fragment(str(int(text)))


def _number(text: str) -> Any:
    """The digits as they are written, so that no decimal passes through a float."""
    token = text.strip()
    if not NUMBER.fullmatch(token):
        raise ValueError(f"'{text}' is not a number")
    return orjson.Fragment(str(Decimal(token)))


def _boolean(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise ValueError(f"'{text}' is not true or false")
    return text.strip().lower() == "true"


def _document(text: str) -> Any:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError(f"'{text}' is not JSON") from None
    return orjson.Fragment(text)


def _key(value: object) -> bytes | None:
    if value is None or value == "":
        return None
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else orjson.dumps(value)


_CELLS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys("tinyint byte smallint short int integer bigint long".split(), _integer),
    **dict.fromkeys("float real double decimal dec numeric".split(), _number),
    **dict.fromkeys("array map struct".split(), _document),
    "boolean": _boolean,
}
