"""Corrected bytes for records in quarantine: by column, in an editor, or from a file that `export` wrote."""

from __future__ import annotations

import base64
import binascii
import json
import shlex
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dovetail.shared.declare import Source
from dovetail.shared.errors import DovetailError, QueryError, UsageError, unknown
from dovetail.shared.formats import Other, refuse_unless_json
from dovetail.shared.position import RecordId
from dovetail.shared.quarantine import Held, Quarantine, text


@dataclass(frozen=True)
class Correction:
    """A record in quarantine and the bytes that are to take its place."""

    held: Held
    value: bytes


def settings(given: Iterable[str], source: Source) -> dict[str, str]:
    """Columns and the JSON they are set to, from texts COLUMN=JSON.

    Raises:
        UsageError: a text is not that, or the source has no such column.
    """
    found: dict[str, str] = {}
    for each in given:
        column, equals, value = each.partition("=")
        if not equals or not _is_json(value):
            raise UsageError(f"'{each}' is not COLUMN=JSON", next="quote text twice: --set 'country=\"FR\"'")
        refuse_unless_json(source.format, "--set", next="resend --file, with value_base64 for what is no text")
        if source.sign:
            raise UsageError("a record of changes has no columns to be set", next="resend --edit, or --file")
        if column not in source.columns:
            raise UsageError(unknown("column", column, source.columns), where=source.where)
        found[column] = value.strip()
    return found


def with_columns(held: Held, columns: Mapping[str, str]) -> Correction:
    """The record with these columns set to these texts of JSON; every other number stays as it is written.

    Raises:
        UsageError: the record is no JSON object.
    """
    mark, kept = uuid.uuid4().hex, list[str]()

    def keep(number: str) -> str:
        kept.append(number)
        return f"{mark}{len(kept) - 1}."

    try:
        read = {"parse_float": keep, "parse_int": keep, "parse_constant": keep}
        document = json.loads(held.value or b"", **read)  # type: ignore[arg-type]
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UsageError(f"{held.place} is not a JSON object, so no column of it can be set", next=_by_hand(held))
    written = json.dumps(document | {c: keep(v) for c, v in columns.items()}, ensure_ascii=False)
    for n, number in enumerate(kept):
        written = written.replace(f'"{mark}{n}."', number)
    return Correction(held, _bytes(held, written))


def edited(held: Held, editor: str) -> Correction:
    """The record as `editor`, a command line, leaves it in a file of its own.

    Raises:
        UsageError: the record is no text, or the editor cannot be run or fails.
    """
    value = text(held.value)
    if value is None:
        raise UsageError(f"{held.place} is not text", next="dovetail quarantine export, then resend --file")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{held.place}.json"
        file.write_bytes(value.encode())
        try:
            done = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
        except (OSError, ValueError) as error:
            raise UsageError(f"the editor '{editor}' cannot be run", why=str(error), next="set EDITOR") from None
        if done:
            raise UsageError(f"the editor '{editor}' ended with {done}: nothing was sent")
        given = file.read_bytes()
    closed = given.endswith(b"\n") and not value.endswith("\n")  # most editors end the last line
    return Correction(held, given.removesuffix(b"\n") if closed else given)


def from_file(lines: Iterable[bytes], quarantine: Quarantine) -> list[Correction]:
    """A correction for each line of a file as `export` writes it, where `value` (or `value_base64`) was changed.

    Raises:
        UsageError: a line is not of such a file, names a record twice, or one that is not in quarantine.
    """
    given: dict[RecordId, set[bytes]] = {}
    for number, raw in enumerate(lines, start=1):
        if raw.strip():
            try:
                place, values = _line(raw)
            except DovetailError as error:
                raise UsageError(f"line {number}: {error.what}", next=error.next) from None
            if place in given:
                raise UsageError(f"line {number}: {place} comes a second time")
            given[place] = values
    found = [(held, given[held.place] - {held.value}) for held in quarantine.records([*given])]
    for held, changed in found:
        if len(changed) > 1:
            raise UsageError(
                f"{held.place}: value and value_base64 were both changed, and differ", next="take one of them out"
            )
    return [Correction(held, value) for held, changed in found for value in changed]


def refuse_unfit(correction: Correction, source: Source) -> None:
    """Raises UsageError for bytes that are as they were, or that every version would put in quarantine again."""
    held = correction.held
    if correction.value == held.value:
        raise UsageError(f"{held.place} is as it was: there is nothing to send", next=_by_hand(held))
    if isinstance(source.format, Other):
        return  # only its reader can tell
    try:
        good = isinstance(orjson.loads(correction.value), dict)
    except orjson.JSONDecodeError:
        good = False
    if not good:
        raise UsageError(f"what is to take the place of {held.place} is not a JSON object", next=_by_hand(held))


def _line(raw: bytes) -> tuple[RecordId, set[bytes]]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("position"), str):
        raise UsageError("no position of a record", next="dovetail quarantine export writes such a file")
    try:
        place = RecordId.parse(document["position"])
    except QueryError as error:
        raise UsageError(error.what) from None
    return place, {*_values(document)}


def _values(document: Mapping[str, Any]) -> Iterator[bytes]:
    value, encoded = document.get("value"), document.get("value_base64")
    if value is not None:
        if not isinstance(value, str):
            raise UsageError("value is not text: write the record as one string, with its quotes escaped")
        yield value.encode()
    if encoded is not None:
        try:
            yield base64.b64decode(encoded, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise UsageError("value_base64 is not base64") from None


def _is_json(given: str) -> bool:
    try:
        orjson.loads(given)
    except orjson.JSONDecodeError:
        return False
    return True


def _bytes(held: Held, written: str) -> bytes:
    try:
        return written.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{held.place} holds half a character", next=_by_hand(held)) from None


def _by_hand(held: Held) -> str:
    return f"--edit opens {held.place} in $EDITOR; --file takes what dovetail quarantine export wrote"
