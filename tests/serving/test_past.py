"""Answers of the past are put together from what they share, and nothing of it is held that none of them needs."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from serving_stand import Stand, ViewSpec, event

from dovetail.serving.edition import Edition
from dovetail.serving.fields import from_url
from dovetail.serving.past import Receipt
from dovetail.serving.problems import Gone
from dovetail.serving.runs import Runs
from dovetail.serving.shape import Shape
from dovetail.serving.store import Store
from dovetail.serving.view import View
from dovetail.shared.manifest import Run


def looked(store: Store, stand: Stand) -> View:
    """The view as it stands now."""
    while True:
        store.look()
        view, now = store.view("sales"), stand.manifest("sales").read()
        assert now is not None
        edition = view.published if view else None
        if view and edition and (edition.manifest.generation, edition.seq) == (now.generation, stand.seq):
            return view


def test_answers_of_many_seqs_load_a_run_once_and_leave_nothing(
    tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    run, store, loads, load = stand.batch("sales"), Store(tmp_path / "data"), list[str](), Runs.load
    receipts = list[Receipt]()
    plan = looked(store, stand).asked("lines", lambda: from_url("measures=lines")).plan
    for _ in range(3):
        stand.commit([event()])
        receipts.append(Receipt.parse(looked(store, stand).edition.id(plan)))

    def counted(runs: Runs, shape: Shape, run: Run) -> str:
        loads.append(run.id)
        return load(runs, shape, run)

    def lines(edition: Edition) -> int:
        ((found,),) = (row.values() for row in orjson.loads(view.shown_in(edition, plan).as_json().json))
        return int(found)

    monkeypatch.setattr(Runs, "load", counted)
    monkeypatch.setattr("dovetail.serving.past.KEPT", 2)
    view = looked(store, stand)
    for _ in range(2):
        assert [store.past.asked("sales", receipt, lines) for receipt in receipts] == [2, 3, 4]
    assert loads == [run.id]
    stand.batch("sales", full=True)
    stand.prune("sales")
    view = looked(store, stand)
    with pytest.raises(Gone):
        store.past.asked("sales", receipts[0], lines)
    with store._database.reading("sales") as (cursor, _):
        held = {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert held == {"published", *view.edition.tables}
    store.stop()
