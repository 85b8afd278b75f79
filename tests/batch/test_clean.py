"""What a clean deletes: what nothing names any more. No answer changes by it, and every later one is exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from clean_stand import BEGIN, A, Stand
from killed import killed_at

from dovetail.batch import orphans
from dovetail.batch.clean import Clean
from dovetail.shared.commit import open_epoch
from dovetail.shared.ledger import Fenced, LedgerRow
from dovetail.shared.locks import held
from dovetail.shared.manifest import Run
from dovetail.shared.position import Range


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "data")


KILLED, OF_A = "rows of killed commits", "000000000000000a/states"


@pytest.mark.parametrize("restarted", [True, False])
def test_what_killed_commits_left_is_deleted_and_nothing_else(stand: Stand, restarted: bool) -> None:
    stand.commit(3)
    for _ in range(2):
        with killed_at("speed.before_ledger"):
            stand.commit(5)
    if restarted:
        open_epoch(stand.ledger)
    stand.commit(6) if restarted else None
    before = stand.answer()
    named = {row.commit_id for row in stand.ledger.rows() if row.kind == "commit"}
    assert all(len(ids) == len(named) + 2 for ids in stand.ids().values())
    four = [(KILLED, where, 2) for where in ("quarantine", "failing", "repeats", OF_A)]
    assert stand.clean(dry_run=True) == four
    assert stand.clean() == four
    assert stand.ids() == dict.fromkeys(stand.ids(), named)
    assert stand.answer() == before
    assert stand.clean() == []
    stand.commit(9)
    assert stand.answer() == [*before, 9]


def test_a_writer_that_wakes_up_after_the_clean_is_fenced(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.commit(3)
    write = stand.states.write_states

    def cleaned(*given: object) -> int:
        written = write(*given)  # type: ignore[arg-type]
        monkeypatch.undo()
        assert len(stand.clean()) == 4
        return written

    monkeypatch.setattr(stand.states, "write_states", cleaned)
    with pytest.raises(Fenced):
        stand.commit(5)
    assert stand.answer() == [3]
    stand.commit(5)
    assert stand.answer() == [3, 5]


def test_what_comes_after_the_fence_is_not_taken_for_dead(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.commit(3)
    with killed_at("speed.before_ledger"):
        stand.commit(5)
    append, rows = stand.ledger.append, list[LedgerRow]()
    monkeypatch.setattr(stand.ledger, "append", rows.append)
    monkeypatch.setattr("dovetail.shared.commit._appended", lambda ledger, row: rows.append(row) is None)
    # A speed job that came in after all: it has written what it is about to publish.
    at_fence(monkeypatch, lambda: stand.commit(5))
    monkeypatch.setattr(orphans, "open_epoch", lambda ledger, note: append(_epoch_after(stand.last)))
    assert len(stand.clean()) == 4
    append(rows[0])
    assert stand.answer() == [3, 5]


def _epoch_after(last: LedgerRow) -> LedgerRow:
    return LedgerRow(
        last.seq + 1, last.epoch + 1, "open", Range(last.to, last.to), dict.fromkeys(last.versions, 0), "t"
    )


def at_fence(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Does it once the clean has opened its epoch."""
    monkeypatch.setattr(orphans, "failpoint", lambda name: do() if name == "clean.fenced" else None)


@pytest.mark.parametrize("point", ["clean.fenced", "clean.rows_deleted"])
def test_killed_in_between_the_next_clean_does_the_rest(stand: Stand, point: str) -> None:
    stand.commit(3)
    with killed_at("speed.before_ledger"):
        stand.commit(5)
    with killed_at(point):
        stand.clean()
    assert stand.answer() == [3]
    stand.commit(5)
    assert len(stand.clean()) == (4 if point == "clean.fenced" else 3)
    assert stand.answer() == [3, 5]


def test_run_tables_that_nothing_names_are_deleted_and_no_other(stand: Stand) -> None:
    stand.commit(3)
    named = [stand.run_of(A, f"run{n}") for n in range(3)]
    stand.run_of(A, "unpromoted", named=False)
    pinned = Run(stand.run_of(A, "killed", named=False), A, -1, 2, Range(BEGIN, BEGIN))
    stand.pinned(pinned)
    runs = stand.layout.version(A) / "runs"
    gone = [("run tables that nothing names", f"000000000000000a/runs/{name}", 1) for name in ("killed", "unpromoted")]
    assert stand.clean(dry_run=True) == gone
    with killed_at("clean.folder_deleted"):
        stand.clean()
    assert stand.clean() == gone[1:]
    assert sorted(f.name for f in runs.iterdir()) == named
    assert stand.manifests.read().pins == {}  # type: ignore[union-attr]


def test_what_a_running_layer_writes_is_left_and_said(stand: Stand) -> None:
    stand.commit(3)
    with killed_at("speed.before_ledger"):
        stand.commit(5)
    stand.run_of(A, "unpromoted", named=False)
    (stand.layout.scratch("speed-lines") / "checkpoint").mkdir(parents=True)
    before = stand.ids()
    with held(stand.layout.lock("speed-lines"), "speed"), held(stand.layout.lock("batch-sales"), "batch"):
        for dry_run in (True, False):
            done = Clean(stand.layout, dry_run).run()
            assert done.waste == []
            assert [left.what for left in done.left] == [
                "rows of killed commits of lines", "run tables of sales", "scratch of speed-lines",
            ]  # fmt: skip
    assert stand.ids() == before
    assert len(stand.clean()) == 6


def test_a_dry_run_changes_nothing(stand: Stand) -> None:
    stand.commit(3)
    with killed_at("speed.before_ledger"):
        stand.commit(5)
    stand.run_of(A, "unpromoted", named=False)
    files = {f: f.read_bytes() for f in stand.layout.root.rglob("*") if f.is_file()}
    assert len(stand.clean(dry_run=True)) == 5
    assert {f: f.read_bytes() for f in stand.layout.root.rglob("*") if f.is_file()} == files


def test_scratch_of_stopped_jobs_is_deleted_and_that_of_others_left(stand: Stand) -> None:
    for name in ("speed-lines", "archive-lines", "why-1f", "warehouse"):
        (stand.layout.scratch(name) / "some").mkdir(parents=True)
    with held(stand.layout.lock("archive-lines"), "archive"):
        done = Clean(stand.layout, dry_run=False).run()
    assert [left.what.split("/")[-1] for left in done.left] == ["scratch of archive-lines", "why-1f"]
    assert sorted(f.name for f in stand.layout.scratch("").iterdir()) == ["archive-lines", "warehouse", "why-1f"]
