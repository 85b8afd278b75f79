"""Records that are no records of their source, or only just are: each value with the reason it is in quarantine for."""

from __future__ import annotations

SCHEMA = {
    "n": "bigint", "i": "int", "x": "double", "name": "string", "ok": "boolean", "at": "timestamp", "day": "date",
    "price": "decimal(10,2)", "tags": "array<int>", "deep": "struct<a:int,b:string>", "counts": "map<string,int>",
    "bin": "binary",
}  # fmt: skip
"""The source's columns; `at` is its event time."""

NOON = '"at": "2026-10-01T12:00:00Z"'
NO_OBJECT = "not a JSON object"
NO_TEXT = "not UTF-8"


def _with(fields: str) -> bytes:
    return f"{{{fields}, {NOON}}}".encode()


POISON: dict[bytes | None, str] = {
    None: "no value",
    b"": NO_OBJECT,
    b"   ": NO_OBJECT,
    b"{": NO_OBJECT,
    b'{"n": 1,': NO_OBJECT,
    b"[]": NO_OBJECT,
    b"[1, 2]": NO_OBJECT,
    f"[{{{NOON}}}]".encode(): NO_OBJECT,
    b"null": NO_OBJECT,
    b"42": NO_OBJECT,
    b'"text"': NO_OBJECT,
    b"\0\0\0\0": NO_OBJECT,
    b"\xef\xbb\xbf{}": NO_OBJECT,
    f"{{{NOON}}} {{{NOON}}}".encode(): NO_OBJECT,
    f"{{{NOON}}}{{{NOON}}}".encode(): NO_OBJECT,
    f"{{{NOON}}}\n{{{NOON}}}".encode(): NO_OBJECT,
    f"{{{NOON}}}, {{{NOON}}}".encode(): NO_OBJECT,
    f"{{{NOON}}} and more".encode(): NO_OBJECT,
    f"{{{NOON}}}}}".encode(): NO_OBJECT,
    _with('"n": 1,'): NO_OBJECT,
    _with('/* one */ "n": 1'): NO_OBJECT,
    _with('"n": 01'): NO_OBJECT,
    _with('"n": ' + "9" * 5000): NO_OBJECT,
    _with('"name": "a\nb"'): NO_OBJECT,
    _with('"name": ' + "[" * 10_000 + "]" * 10_000): NO_OBJECT,
    _with('"other": ' + "[" * 10_000 + "]" * 10_000): NO_OBJECT,
    b"[" * 100_000: NO_OBJECT,
    b"\xff\xfe": NO_TEXT,
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00": NO_TEXT,
    '{"name": "é"}'.encode("utf-16"): NO_TEXT,
    '{"name": "é"}'.encode("latin-1"): NO_TEXT,
    b"{}": "no at",
    b'{"n": 1}': "no at",
    b'{"at": null}': "no at",
    b'{"at": "yesterday"}': "at is not timestamp",
    b'{"at": "0000-00-00"}': "at is not timestamp",
    b'{"at": "+300000-01-01T00:00:00Z"}': "at is not timestamp",
    _with('"n": "one"'): "n is not bigint",
    _with('"n": "1"'): "n is not bigint",
    _with('"n": 1.5'): "n is not bigint",
    _with('"n": 1e3'): "n is not bigint",
    _with('"n": true'): "n is not bigint",
    _with('"n": NaN'): "n is not bigint",
    _with('"n": 9223372036854775808'): "n is not bigint",
    _with('"i": 2147483648'): "i is not int",
    _with('"x": "abc"'): "x is not double",
    _with('"ok": 1'): "ok is not boolean",
    _with('"ok": "true"'): "ok is not boolean",
    _with('"day": "2026-13-01"'): "day is not date",
    _with('"price": "12,50"'): "price is not decimal(10,2)",
    _with('"price": 123456789.55'): "price is not decimal(10,2)",
    _with('"price": "1e500"'): "price is not decimal(10,2)",
    _with('"tags": [1, "a"]'): "tags is not array<int>",
    _with('"tags": 1'): "tags is not array<int>",
    _with('"deep": [1]'): "deep is not struct<a:int,b:string>",
    _with('"deep": {"a": "x"}'): "a field in it is not of its type",
    _with('"counts": {"a": "x"}'): "counts is not map<string,int>",
    _with('"bin": "***"'): "bin is not binary",
    _with('"n": "one", "price": "12,50"'): "n is not bigint",
    _with('"at": "yesterday"'): "a field in it is not of its type",
    _with('"n": 1, "n": "x"'): "a field in it is not of its type",
}

HARMLESS: tuple[bytes, ...] = (
    _with('"n": 9223372036854775807'),
    _with('"n": null'),
    _with('"n": 1, "n": 2'),
    _with('"x": NaN'),
    _with('"x": -Infinity'),
    _with('"x": 1e400'),
    _with('"price": "-12.50"'),
    _with('"price": 12.5'),
    _with('"name": "\\u0000"'),
    _with('"name": "\\u001b[31m"'),
    _with('"name": {"a": 1}'),
    _with('"name": "' + "x" * 900_000 + '"'),
    _with('"i": 7'),
    _with('"i": 7, "n": 2'),
    _with('"unknown": {"deep": [1, {"a": "b"}]}'),
)
"""What a stream of poison also holds: records that look odd and are good."""
