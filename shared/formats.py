"""How a record's value is written, where it is not JSON: CSV, Avro and Protobuf, as they are declared."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dovetail.shared import ddl
from dovetail.shared.caller import Place, place
from dovetail.shared.errors import DeclarationError, UsageError

LIMIT = 4_000_000
"""Bytes of a file: its content is part of the stored version."""


@dataclass(frozen=True)
class File:
    """A file of the project that says how records are written. `content` is None where it is not there.

    That is only said when it is needed: a stored version holds the files of its own view, while its code declares all
    views of the project.
    """

    path: Path = field(compare=False)
    content: bytes | None = field(repr=False)

    def needed(self, where: str) -> bytes:
        if self.content is None:
            raise DeclarationError(f"the file {self.path} is not there", where=where)
        return self.content


@dataclass(frozen=True)
class Csv:
    """Each record's value is one line of CSV; see `csv`."""

    name: ClassVar[str] = "csv"
    delimiter: str = ","
    quote: str = '"'

    @property
    def file(self) -> File | None:
        return None

    def as_json(self, source: str, where: str) -> dict[str, Any]:  # noqa: ARG002  as the others have it
        """What decides how it is read."""
        return {"csv": {"delimiter": self.delimiter, "quote": self.quote}}


@dataclass(frozen=True)
class Avro:
    """Each record's value is Avro, of the schema its id names in a registry, or of the one in `file`; see `avro`."""

    name: ClassVar[str] = "avro"
    registry: str = ""
    file: File | None = None
    attempt: int = 1

    def as_json(self, source: str, where: str) -> dict[str, Any]:
        """What decides how it is read: the schema itself, or where it is kept once the registry has told it."""
        if self.file is None:
            return {"avro": {"registry": self.registry, "source": source, "attempt": self.attempt}}
        return {"avro": {"schema": _avro_schema(self.file.needed(where), self.file.path.name, where)}}


@dataclass(frozen=True)
class Protobuf:
    """Each record's value is one Protobuf message; see `protobuf`."""

    name: ClassVar[str] = "protobuf"
    file: File
    message: str
    confluent: bool = False

    def as_json(self, source: str, where: str) -> dict[str, Any]:  # noqa: ARG002  as the others have it
        """What decides how it is read: the descriptors themselves."""
        content = base64.b64encode(self.file.needed(where)).decode()
        return {"protobuf": {"descriptor": content, "message": self.message, "confluent": self.confluent}}


Other = Csv | Avro | Protobuf


def csv(*, delimiter: str = ",", quote: str = '"') -> Csv:
    r"""Records whose value is one line of CSV in UTF-8, without a header.

    It has a field for each declared column, in their order. A field with nothing in it is null. More or fewer fields, a
    field that does not fit its type, or a second line send the record to quarantine. Decimals are never rounded:
    12.345 is no decimal(10,2).

    Args:
        delimiter: the character between two fields: "," or "\t", say.
        quote: the character around a field that holds the delimiter; inside it is written twice.

    Raises:
        DeclarationError: not one character, or twice the same.
    """
    where = str(place())
    for name, given in (("delimiter", delimiter), ("quote", quote)):
        if not isinstance(given, str) or len(given) != 1 or given in "\r\n\0":
            raise DeclarationError(f"csv: {name}={given!r} is not one character", where=where, next=f"csv({name}=';')")
    if delimiter == quote:
        raise DeclarationError(f"csv: delimiter and quote are both {quote!r}", where=where)
    return Csv(delimiter, quote)


def avro(*, registry: str | None = None, schema: str | Path | None = None, attempt: int = 1) -> Avro:
    """Records whose value is Avro; fields are matched to the declared columns by name and exact case.

    With a registry each record begins as Confluent's serializers write it, with a zero byte and the id of the schema it
    was written with, and is read by that one: a field that this does not have is null. A schema is asked for once, and
    kept with the storage for good, so that nothing depends on the registry later. A record of an id that the registry
    does not know goes to quarantine; while it does not answer, the layers wait.

    The name and password that it wants are set in [registry].

    Args:
        registry: the base address of a schema registry with Confluent's HTTP interface.
        schema: in its place a file of the project, `.avsc`, relative to the one that declares it: the one schema of all
            records, which then hold bare Avro. Its content is part of the version.
        attempt: a larger number asks again for ids that were unknown, which makes another version: what was in
            quarantine for that is counted by its reprocess.

    Raises:
        DeclarationError: neither a registry nor a schema, or both; or one that cannot be.
    """
    where = place()
    if (registry is None) == (schema is None):
        raise DeclarationError(
            "avro: give a registry or a schema", where=str(where), next='avro(registry="http://127.0.0.1:8081")'
        )
    if not isinstance(attempt, int) or attempt < 1:
        raise DeclarationError(f"avro: attempt={attempt!r} is not a whole number from 1 on", where=str(where))
    if schema is not None:
        return Avro(file=_file(schema, where))
    return Avro(registry=_address(str(registry), str(where)), attempt=attempt)


def protobuf(*, descriptor: str | Path, message: str, confluent: bool = False) -> Protobuf:
    """Records whose value is one Protobuf message; fields are matched to the declared columns by name and exact case.

    Args:
        descriptor: a file of the project, relative to the one that declares it, that `protoc --include_imports
            --descriptor_set_out=FILE` made. Its content is part of the version.
        message: the full name of the message: "shop.Order".
        confluent: each record begins as Confluent's serializers write it, with a zero byte, a schema's id and which
            message of it this is. Nothing is asked of a registry: the descriptor reads every record.

    Raises:
        DeclarationError: the file cannot be read, or is too large.
    """
    where = place()
    if not isinstance(message, str) or not message.replace(".", "").replace("_", "").isalnum():
        raise DeclarationError(f"protobuf: {message!r} is no name of a message", where=str(where))
    return Protobuf(_file(descriptor, where), message.removeprefix("."), confluent)


def refuse_misfit(given: object, columns: Mapping[str, str], where: str) -> None:
    """Raises DeclarationError for a column that a line of CSV cannot hold."""
    for name, kind in columns.items() if isinstance(given, Csv) else ():
        if kind.lower().startswith(ddl.NESTED):
            raise DeclarationError(
                f"column {name} is of type {kind}, which a field of CSV cannot be", where=where,
                next=f"declare {name} string, and make it of that in a transform",
            )  # fmt: skip


def refuse_unless_json(given: object, what: str, *, next: str, where: str = "") -> None:  # noqa: A002
    """Raises UsageError where records are none of JSON: `what` would send such."""
    if isinstance(given, Other):
        raise UsageError(f"{what} writes JSON, and records of this source are {given.name}", where=where, next=next)


def _address(text: str, where: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise DeclarationError(f"avro: registry='{text}' is not an address as in https://registry:8081", where=where)
    if parts.username is not None or parts.password is not None:
        raise DeclarationError(
            "avro: the registry's address holds a name or a password, which would be written out", where=where,
            next="set user and password in [registry] of dovetail.toml",
        )  # fmt: skip
    return text.rstrip("/")


def _file(given: str | Path, where: Place) -> File:
    path = (where.file.parent / given).resolve()
    try:
        if path.stat().st_size > LIMIT:
            raise DeclarationError(f"{path.name} holds more than {LIMIT:,} bytes", where=str(where))
        return File(path, path.read_bytes())
    except FileNotFoundError:
        return File(path, None)
    except OSError as error:
        raise DeclarationError(f"{path} cannot be read: {error.strerror}", where=str(where)) from None


def _avro_schema(content: bytes, file: str, where: str) -> str:
    """The schema as one text, the same however the file is laid out."""
    try:
        found = json.loads(content)
    except ValueError as error:
        raise DeclarationError(f"{file} is no Avro schema: {error}", where=where) from None
    if not isinstance(found, dict) or found.get("type") != "record":
        raise DeclarationError(f"{file} is not the Avro schema of a record", where=where)
    return json.dumps(found, separators=(",", ":"))
