"""What fields of records say of a schema: added, missing, renamed, of another type. Without an engine."""

from __future__ import annotations

import json

import pytest

from dovetail.shared.drift import SHOWN, Finding, drift
from dovetail.shared.fields import Fields, column, type_of
from dovetail.shared.position import RecordId

COLUMNS = {"id": "bigint", "at": "timestamp", "quantity": "int", "note": "string", "price": "decimal(10,2)"}
WHOLE = {"id": 1, "at": "2026-10-01T09:20:00Z", "quantity": 2, "note": "x", "price": "1.25"}


def fields_of(*records: object) -> Fields:
    fields = Fields()
    for offset, record in enumerate(records):
        fields.take(RecordId(0, offset), record if isinstance(record, bytes | None) else json.dumps(record).encode())
    return fields


def found(*records: object) -> list[Finding]:
    return list(drift(COLUMNS, fields_of(*records)))


def without(*names: str, **more: object) -> dict[str, object]:
    return {k: v for k, v in WHOLE.items() if k not in names} | more


def test_records_as_they_are_declared_say_nothing() -> None:
    assert found(WHOLE, WHOLE) == []


def test_what_is_no_object_holds_no_field() -> None:
    deep = b"[" * 100_000
    fields = fields_of(None, b"", b"{", b"[1]", b"\xff", deep, b'{"n": ' + b"9" * 5000 + b"}", WHOLE)
    assert (fields.records, [f.name for f in fields.others(COLUMNS)]) == (1, [])
    assert found(None, b"{") == []


def test_a_field_that_is_not_declared_is_told_with_what_would_keep_it() -> None:
    [new] = found(WHOLE, without(channel="web"), without(channel=None))
    assert (new.level, new.kind, new.column, new.records, str(new.first)) == ("note", "undeclared", "channel", 2, "0@1")
    assert new.message == "channel is not declared: string in 2 of 3 records, ignored"
    assert new.next == "to keep it add to the schema: channel string"


def test_fields_without_end_are_counted_and_not_all_told() -> None:
    said = found(without(**{f"k{n}": n for n in range(SHOWN + 7)}))
    assert len(said) == SHOWN + 1
    assert said[-1].message == "and 7 more fields that are not declared"


def test_no_name_of_a_field_reaches_a_terminal_as_it_is() -> None:
    [new] = found(without(**{"red\x1b[31m": 1}))
    assert "\x1b" not in new.message + new.next + new.column


def test_a_column_in_another_spelling_is_told() -> None:
    said = {f.kind: f for f in found(without(Note=1), WHOLE, without(Note=1, note="x"))}
    assert said["undeclared"].message == "Note is not declared: bigint in 2 of 3 records, ignored; note is"
    assert said["undeclared"].next == ""


def test_a_column_that_no_record_holds_is_told() -> None:
    [gone] = found(without("note"), without("note"))
    assert (gone.level, gone.kind, gone.message) == ("note", "missing", "note is missing in all of 2 records")
    [null] = found(without(note=None))
    assert null.message == "note is null in all of 1 records"


def test_a_column_that_ceases_in_mid_stream_is_told_from_where_on() -> None:
    fields = Fields()
    for place, record in [(0, WHOLE), (0, WHOLE), (0, without("note")), (1, WHOLE), *[(1, without("note"))] * 2]:
        fields.take(RecordId(place, fields.records), json.dumps(record).encode())
    [gone] = drift(COLUMNS, fields)
    assert (gone.level, gone.kind, gone.records, str(gone.first)) == ("warn", "missing", 3, "0@2")
    assert gone.message == "note is missing in the newest 3 of 6 records, first 0@2; all before hold it"
    assert found(*[WHOLE, without("note")] * 4, *[without("note")] * 5) == []


def test_a_column_that_is_mostly_null_is_told() -> None:
    [sparse] = found(*[without(note=None)] * 10, *[without("note")] * 9, WHOLE)
    assert (sparse.kind, sparse.message) == ("sparse", "note is null or missing in 19 of 20 records")
    assert found(WHOLE, *[without(note=None)] * 18) == []


def test_a_column_that_got_another_name_is_told_with_it() -> None:
    [new] = found(*[without("quantity", qty=3, quantityUnit="pc"), without("quantity", qty=None)] * 2)[:1]
    assert (new.level, new.kind, new.column, new.records) == ("warn", "renamed", "quantity", 4)
    assert new.message == (
        "quantity is in none of 4 records, and qty, which is not declared, in all of them: did you mean qty?"
    )


def test_a_name_that_changes_in_mid_stream_is_told_from_where_on() -> None:
    [new] = found(WHOLE, WHOLE, without("quantity", qty=3))
    assert new.kind == "renamed"
    assert new.message == (
        "quantity gives way to qty, which is not declared, in 1 of 3 records, first 0@2: did you mean qty?"
    )


@pytest.mark.parametrize(
    "records",
    [
        [without("quantity", qty="three")],
        [without("quantity", qty=3), without("quantity")],
        [without(qty=3), without("quantity")],
        [without("quantity", qty=None)],
    ],
    ids=["of another type", "not in all", "both in one, none in another", "never a value"],
)
def test_what_is_no_renamed_column_is_not_called_one(records: list[object]) -> None:
    assert "renamed" not in {f.kind for f in found(*records)}


def test_of_several_fields_the_one_most_alike_is_meant() -> None:
    said = [f for f in found(without("quantity", "id", ident=1, qty=2, other=3)) if f.kind == "renamed"]
    assert {f.column: f.message.split("did you mean ")[1] for f in said} == {"quantity": "qty?", "id": "ident?"}


def test_text_that_is_no_text_is_told() -> None:
    [other] = found(WHOLE, without(note=7), without(note={"a": 1}))
    assert (other.level, other.kind) == ("note", "type")
    assert other.message == "note is declared string and is integer and object in 2 of 3 records: read as text"


def test_digits_that_would_be_rounded_away_are_told() -> None:
    [cut] = found(WHOLE, without(price="1.2345"), without(price=2.125), without(price=1.5))
    assert (cut.level, cut.kind, cut.records) == ("warn", "rounded", 2)
    assert cut.message == "price is decimal(10,2) and has more digits after the point in 2 of 4 records: rounded"
    assert cut.next == "declare price decimal(12,4) to keep them"


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ("true null", "boolean"),
        ("1 2147483648", "bigint"),
        ("1 9223372036854775808", "decimal(38,0)"),
        ("1 1.5", "decimal(10,1)"),
        ("123456789012.25", "decimal(14,2)"),
        ("0.123456789", "double"),
        ("1.5 2e3", "double"),
        ("1 NaN", "double"),
        ('"2026-10-01"', "date"),
        ('"2026-10-01T09:20:00Z" "2026-10-01T09:20:00.123+02:00"', "timestamp"),
        ('"2026-10-01" "later"', "string"),
        ('1 "one"', "string"),
        ("null", "string"),
        ("[1] [2.5,null]", "array<decimal(10,1)>"),
        ('{"a":1} {"b":[true]}', "struct<a: bigint, b: array<boolean>>"),
        ('{"a-b":1}', "string"),
        ("{}", "string"),
        ("[[[[[[[[1]]]]]]]]", "array<array<array<array<array<array<string>>>>>>"),
    ],
)
def test_a_type_is_suggested_that_holds_every_value(texts: str, kind: str) -> None:
    fields = fields_of(*(f'{{"f": {text}}}'.encode() for text in texts.split()))
    [field] = fields.others({})
    assert field.type == kind


def test_a_column_is_suggested_only_where_one_can_have_that_name() -> None:
    assert column("sales-channel", "string") == "`sales-channel` string"
    assert [column(name, "string") for name in ("_id", "", "a`b")] == ["", "", ""]
    assert type_of([]) == "string"
