"""The SQL that Trino is given: its text, its names, what it leaves out; and what becomes of a server that is away."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import MEASURES, Stand, ViewSpec, event

from dovetail.shared import access
from dovetail.shared.errors import IntegrityError, UsageError
from dovetail.shared.grants import Grant, Mask
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Manifest, Run, RunId
from dovetail.shared.measures import (
    Measure,
    approx_distinct,
    avg,
    count,
    first,
    last,
    measure,
    ratio,
    stddev,
    sum_,
    top_k,
)  # fmt: skip
from dovetail.shared.position import Position, Range
from dovetail.shared.sections import Settings
from dovetail.shared.tables import Layout
from dovetail.shared.trino import sync as trino
from dovetail.shared.trino.names import quoted
from dovetail.shared.trino.offer import NO_COLUMNS, NO_GRANTS, offer
from dovetail.shared.trino.statement import Looked, Made, Parts, statement
from dovetail.shared.trino.tables import Tables

GOLDEN = Path(__file__).parent / "golden"
VERSION = VersionId("sales@0123456789abcdef")
MOMENTS = pa.struct({"n": pa.int64(), "mean": pa.float64(), "m2": pa.float64()})


def parts(measures: dict[str, Measure], *, keys: tuple[str, ...] = ("country",), **more: Any) -> Parts:
    run = Run(RunId("r1"), VERSION, -1, 7, Range(Position({0: 0}), Position({0: 40})), 3, 40)
    states = {s.column: s for m in measures.values() for s in m.states}
    types = {"count": pa.int64(), "moments": MOMENTS, "first": placed(pa.int32()),
             "last": placed(pa.timestamp("us", tz="UTC"))}  # fmt: skip
    return Parts(
        **{
            "manifest": Manifest("sales", 4, 2, (run,)),
            "keys": keys,
            "bucket": True,
            "measures": measures,
            "stored": pa.schema(
                [
                    *((k, pa.string()) for k in keys),
                    ("_bucket", pa.timestamp("us", tz="UTC")),
                    *((c, types.get(s.kind.name, pa.decimal128(38, 2))) for c, s in states.items()),
                ]
            ),
            "ledger": '"l"."t"."ledger"',
            "manifests": '"l"."t"."manifest"',
            "states": '"l"."t"."states"',
            "runs": ('"l"."t"."run"',),
            **more,
        }
    )


def placed(by: pa.DataType) -> pa.DataType:
    return pa.struct({"by": by, "partition": pa.int32(), "offset": pa.int64(), "absent": pa.bool_(),
                      "value": pa.string()})  # fmt: skip


def made(measures: dict[str, Measure], **more: Any) -> Made:
    return statement('"l"."v"."sales"', parts(measures, **more))


def test_the_statement_of_a_small_view_is_as_kept() -> None:
    looked = Looked("shops", '"l"."t"."dimension_shops"', "country", {"region": "c0"})
    text = made({"lines": count(), "price": avg("price")}, dimensions=(looked,)).sql + "\n"
    file = GOLDEN / "trino_view.sql"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", ["select", 'a"b', "a.b", "a'b", "it's; drop view x", "Ärger \u202e"])
def test_every_name_stands_in_quotes_whatever_it_holds(name: str) -> None:
    assert quoted(name)[1:-1].replace('""', "") == name.replace('"', "")
    found = made({name: count(), f"{name}2": sum_("x")}, keys=(f"key {name}",))
    without = found.sql.replace(quoted(name), "").replace(quoted(f"{name}2"), "").replace(quoted(f"key {name}"), "")
    assert name not in without or name == "select"
    assert found.columns == (f"key {name}", "bucket", name, f"{name}2")


def test_what_sql_cannot_merge_is_left_out_by_name_and_the_rest_is_offered() -> None:
    found = made(
        {
            "lines": count(),
            "buyers": approx_distinct("customer"),
            "largest": top_k("quantity", k=3),
            "net": sum_("x", sign="sign"),
            "state": last("state", by="at"),
            "opened": first("state", by="day"),
            "own": measure(present=lambda n, b: n, n=count(), b=approx_distinct("customer")),
            "spread": stddev("x"),
            "late": ratio(count(where="late"), count()),
        }
    )
    assert found.columns == (
        "country", "bucket", "lines", "opened", "own__n", "spread", "spread__count", "spread__mean", "spread__m2",
        "late", "late__over", "late__under",
    )  # fmt: skip
    assert {name: why.split()[-1] for name, why in found.left_out.items()} == {
        "buyers": "merge", "largest": "list", "net": "back", "state": "anew", "own": "offered", "own__b": "merge",
    }  # fmt: skip
    assert "hll" not in found.sql


def test_of_two_names_that_differ_by_case_the_first_is_shown() -> None:
    found = made({"Country": count(), "lines": count()})
    assert found.columns == ("country", "bucket", "lines")
    assert found.left_out == {"Country": "another column has this name"}


@pytest.mark.parametrize(("mask", "shown"), [("null", False), ("hash", False), ("last(2)", True)])
def test_a_masked_key_is_grouped_by_in_its_form_or_not_at_all(mask: str, shown: bool) -> None:
    looked = Looked("shops", "t", "country", {"region": "c0"})
    found = made({"lines": count()}, masks={"country": Mask.parse(mask)}, dimensions=(looked,))
    assert found.columns == (("country", "bucket", "lines") if shown else ("bucket", "lines"))
    assert {*found.left_out} == ({"region"} if shown else {"country", "region"})
    of_key = found.sql.count('s."country"')
    assert of_key == (6 if shown else 0)
    assert found.sql.count("""IF(s."country" IS NOT NULL, '***' || """) == of_key / 3


def test_a_masked_measure_and_a_masked_attribute_are_left_out_with_their_parts() -> None:
    looked = Looked("shops", "t", "country", {"region": "c0", "owner": "c1"})
    masks = dict.fromkeys(["price", "shops.owner"], Mask("null"))
    found = made({"lines": count(), "price": avg("price")}, dimensions=(looked,), masks=masks)
    assert found.columns == ("country", "bucket", "lines", "region")
    assert found.left_out == {"price": "it is masked", "owner": "it is masked"}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    found = Stand(tmp_path / "data")
    found.attach(ViewSpec("sales"))
    found.attach(ViewSpec("other"))
    found.commit([event()])
    return found


def preview(folder: Path, **settings: Any) -> dict[str, trino.Synced]:
    return {
        each.view: each for each in trino.preview(Settings(folder=folder, trino=settings), ["sales", "other", "no"])
    }


def test_what_any_grant_hides_is_hidden_from_all_unless_one_is_named(tmp_path: Path, stand: Stand) -> None:
    give(stand, Grant("some", views=("sales",), columns={"revenue": "null", "country": "last(2)"}))
    give(stand, Grant("all", views=("*",)))
    found = preview(tmp_path)
    assert {*found} == {"sales", "other"}
    assert {*found["sales"].left_out} == {"revenue", "country"}
    assert found["other"].left_out == {}
    assert preview(tmp_path, grant="all")["sales"].left_out == {}
    assert {*preview(tmp_path, grant="some")["sales"].left_out} == {"revenue"}
    with pytest.raises(UsageError, match="unknown grant"):
        preview(tmp_path, grant="sme")


def test_what_a_source_calls_sensitive_is_masked_but_for_a_named_grant(tmp_path: Path, stand: Stand) -> None:
    stand.layout.sensitive("sales").write_text('{"country": "last(2)", "product": "hash"}')
    give(stand, Grant("clear", views=("sales",), columns={"country": "clear", "product": "clear"}))
    assert {*preview(tmp_path)["sales"].left_out} == {"product"}
    assert "'***'" in sql(tmp_path)
    assert preview(tmp_path, grant="clear")["sales"].left_out == {}
    assert "'***'" not in sql(tmp_path, grant="clear")
    give(stand, Grant("less", views=("sales",), columns={"country": "last(4)"}))
    assert {*preview(tmp_path)["sales"].left_out} == {"product", "country"}
    stand.layout.sensitive("sales").write_text("?")
    with pytest.raises(IntegrityError, match="sensitive cannot be read"):
        preview(tmp_path)


@pytest.mark.parametrize("part", [{"rows": {"country": {"in": ["FR"]}}}, {"floor": 5}])
def test_a_view_of_which_a_grant_shows_some_rows_only_is_not_shown(
    tmp_path: Path, stand: Stand, part: dict[str, Any]
) -> None:
    give(stand, Grant("few", views=("sales",), **part))
    found = preview(tmp_path)
    assert (found["sales"].columns, found["sales"].problem) == ((), NO_GRANTS)
    assert len(found["other"].columns) > len(MEASURES)


def test_a_view_of_which_nothing_can_be_shown_is_told_and_holds_no_other_up(tmp_path: Path, stand: Stand) -> None:
    stand.attach(ViewSpec("no", keys=(), bucket=None, measures={"revenue": sum_("amount")}))
    give(stand, Grant("less", views=("no",), columns={"revenue": "null"}))
    found = preview(tmp_path)
    assert (found["no"].columns, found["no"].problem) == ((), NO_COLUMNS)
    assert found["sales"].columns


def test_a_preview_writes_nothing(tmp_path: Path, stand: Stand) -> None:
    before = sorted(tmp_path.rglob("*"))
    preview(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trino_that_is_away_fails_no_promote_and_is_told(
    tmp_path: Path, stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    trino.follow(Settings(folder=tmp_path), "sales")
    assert trino.behind(stand.layout, "sales") == ""
    with caplog.at_level(logging.WARNING):
        trino.follow(Settings(folder=tmp_path, trino={"url": "http://127.0.0.1:9"}), "sales")
    assert "sales: Trino still answers as before: Trino does not answer" in caplog.text
    assert trino.behind(stand.layout, "sales") == "Trino does not answer"


def sql(folder: Path, **settings: Any) -> str:
    to, layout = Settings(folder=folder, trino=settings).trino, Layout(folder / "data")
    found = offer(to, layout, Tables(to, layout.root, lambda _: []), "sales")
    assert found
    assert found.made
    return found.made.sql


def give(stand: Stand, grant: Grant) -> None:
    access.change(stand.layout, lambda held: held.with_grant(grant))
