"""Sensitive columns: which masks fit which columns, what serving is told of a view, what commands show of a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dovetail as dv
from dovetail.shared import sensitive
from dovetail.shared.errors import DeclarationError, IntegrityError, UsageError
from dovetail.shared.grants import Mask
from dovetail.shared.tables import Layout

SCHEMA = "customer string, card string, age int, weight double, price decimal(10,2), at timestamp"
MASKS = {"customer": dv.mask.hash(), "card": dv.mask.last(4), "age": dv.mask.bucket(10), "weight": dv.mask.null()}


def a_view(masks: dict[str, Any], *keys: str) -> dv.View:
    source = dv.source("orders", schema=SCHEMA, sensitive=masks)
    return dv.view("sales", source=source, keys=keys, measures={"n": dv.count()})


def test_serving_is_told_of_a_views_own_keys(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert sensitive.of(layout, "sales") == {}
    view = a_view(MASKS, "card", "at", "age", "customer")
    sensitive.keep(layout, view)
    assert sensitive.of(layout, "sales") == {"card": "last(4)", "age": "bucket(10)", "customer": "hash"}
    assert layout.sensitive("sales").stat().st_mode & 0o077 == 0
    sensitive.keep(layout, a_view({}, "card"))
    assert sensitive.of(layout, "sales") == {}


def test_they_make_no_other_version() -> None:
    assert a_view(MASKS).source.as_json() == a_view({}).source.as_json()


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"customer": "hsah"}', b'{"customer": 1}'])
def test_where_they_cannot_be_read_nothing_may_be_seen(tmp_path: Path, torn: bytes) -> None:
    layout = Layout(tmp_path)
    sensitive.keep(layout, a_view(MASKS, "customer"))
    layout.sensitive("sales").write_bytes(torn)
    with pytest.raises(IntegrityError, match="which keys of sales are sensitive cannot be read"):
        sensitive.of(layout, "sales")


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ({"custmer": dv.mask.hash()}, "unknown column 'custmer': did you mean 'customer'"),
        ({"customer": "hash"}, "'hash' is no mask of customer"),
        ({"customer": Mask("clear")}, "is no mask of customer"),
        ({"age": dv.mask.last(2)}, r"column age is of type int, not for last\(2\)"),
        ({"card": dv.mask.bucket(10)}, r"column card is of type string, not for bucket\(10\)"),
        ({"weight": dv.mask.hash()}, "column weight is of type double, not for hash"),
    ],
)
def test_what_fits_no_column_is_refused(masks: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says) as said:
        a_view(masks)
    assert said.value.where.startswith("test_sensitive.py:")


@pytest.mark.parametrize("n", [0, -1])
def test_a_mask_of_nothing_is_refused(n: int) -> None:
    with pytest.raises(UsageError, match="is no mask"):
        dv.mask.last(n)
    with pytest.raises(UsageError, match="is no mask"):
        dv.mask.bucket(n)


def test_records_that_commands_show_do_not_hold_them() -> None:
    value = b'{"customer":"ada","age":36,"price":"1.00"}'
    assert sensitive.shown(value, {}) == value
    assert sensitive.shown(value, MASKS) == b'{"customer":"***","age":"***","price":"1.00"}'
    for unreadable in (value[:20], b"[1]", b"ada"):
        assert sensitive.shown(unreadable, MASKS) == b"***"
    deep = b'{"tags":' + b"[" * 300 + b"]" * 300 + b"}"
    assert sensitive.shown(deep, MASKS) == b"***"


def test_nor_do_changes_in_the_rows_they_hold() -> None:
    update = b'{"op":"u","before":{"id":1,"customer":"ada"},"after":{"id":1,"customer":"bob"},"source":{"lsn":7}}'
    said = b'{"op":"u","before":{"id":1,"customer":"***"},"after":{"id":1,"customer":"***"},"source":{"lsn":7}}'
    assert sensitive.shown(update, MASKS) == said
    assert sensitive.shown(b'{"schema":null,"payload":%b}' % update, MASKS) == b'{"schema":null,"payload":%b}' % said
    assert sensitive.shown(b'{"rows":[{"card":"1234"}]}', MASKS) == b'{"rows":[{"card":"***"}]}'


def test_a_group_is_shown_without_them() -> None:
    group = {"customer": "ada", "country": "FR", "before": 1, "after": None}
    assert sensitive.hidden(group, MASKS) == {**group, "customer": "***"}
