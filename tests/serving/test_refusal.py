"""What is stored does not fit together: a refusal that says why, never a number; and it heals by itself."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
from serving_stand import Client, Stand, ViewSpec, event, serve

from dovetail.serving.store import Store
from dovetail.shared.ledger import CommitId, new_commit_id


def refused(serving: Client, view: str = "sales") -> str:
    serving.until(lambda: serving.get(view).json().get("type") == "urn:dovetail:integrity")
    answer = serving.get(view)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]
    assert "rows" not in answer.json()
    detail: str = answer.json()["detail"]
    return detail


def answered(serving: Client, lines: int) -> None:
    serving.until(lambda: serving.get("sales").status_code == 200)
    assert serving.rows("sales", measures="lines") == [{"lines": lines}]


def test_a_commit_with_rows_missing_is_refused_until_they_are_there(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    answered(serving, 1)
    stand.commit([event()], name_rows=1)
    assert "holds 1 state rows" in refused(serving)
    assert "holds 1 state rows" in serving.http.get("/ready").json()["views"]["sales"]
    last = stand.ledger.last()
    assert last is not None
    stand.states.write_states(spec.version, last.commit_id, last.seq, [spec.fold([event()])])
    answered(serving, 3)
    assert serving.http.get("/ready").status_code == 200


def test_a_commit_with_rows_too_many_is_refused(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    twice = new_commit_id()
    stand.states.write_states(spec.version, twice, stand.seq + 1, [spec.fold([event()])] * 2)
    stand._append("commit", versions={spec.version: 1}, commit_id=CommitId(twice))
    assert "holds 2 state rows" in refused(serving)


def test_a_run_with_rows_missing_is_refused_until_another_is_promoted(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE")])
    answered(serving, 2)
    stand.batch("sales", rows_off=1)
    assert "holds 2 state rows, the manifest says 3" in refused(serving)
    stand.commit([event()])
    stand.batch("sales", full=True)
    answered(serving, 3)


def test_a_run_whose_table_is_gone_is_refused_until_it_is_back(stand: Stand, serving: Client, tmp_path: Path) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    run = stand.layout.run(spec.version, stand.batch("sales").id)
    shutil.move(run, tmp_path / "aside")
    with serve(tmp_path, stand) as fresh:
        assert "is missing" in refused(fresh)
        shutil.move(tmp_path / "aside", run)
        answered(fresh, 1)


def test_a_version_that_missed_a_commit_is_refused(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    answered(serving, 1)
    stand.miss(spec.version)
    assert "was not in force" in refused(serving)


def test_one_view_refused_leaves_the_others(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.attach(ViewSpec("other"))
    stand.commit([event()])
    answered(serving, 1)
    states = stand.states.table(spec.version)
    stand.write([event()], seq := new_commit_id(), stand.seq + 1)
    states.delete(f"_commit_id = '{seq}'")
    stand._append("commit", versions=dict.fromkeys(stand.in_force, 1), commit_id=seq)
    refused(serving)
    assert serving.rows("other", measures="lines") == [{"lines": 2}]


def test_states_pruned_above_the_cut_are_refused(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    commit_id = new_commit_id()
    written = stand.write([event()], commit_id, stand.seq + 1)
    stand.states.delete_through(spec.version, stand.seq + 1)  # before the ledger names them, and so before any are read
    stand._append("commit", versions=written, commit_id=commit_id)
    assert "holds 0 state rows" in refused(serving)


def test_a_file_that_cannot_be_read_is_refused_until_it_can(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    answered(serving, 1)
    commit_id = new_commit_id()
    written = stand.write([event()], commit_id, stand.seq + 1)
    newest = max(stand.layout.states(spec.version).glob("*.parquet"), key=lambda f: f.stat().st_mtime_ns)
    whole = newest.read_bytes()
    newest.write_bytes(whole[:100])  # before the ledger names it, and so before it is looked at
    stand._append("commit", versions=written, commit_id=commit_id)
    assert "its storage cannot be read" in refused(serving)
    newest.write_bytes(whole)
    answered(serving, 2)


def test_a_detached_version_answers_up_to_there_while_the_others_go_on(
    stand: Stand, serving: Client, tmp_path: Path
) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.attach(ViewSpec("other"))
    end = stand.commit([event()])
    answered(serving, 1)
    stand.detach(spec.version)
    stand.commit([event()])
    serving.until(lambda: serving.rows("other", measures="lines") == [{"lines": 2}])
    answer = serving.get("sales", measures="lines").json()
    assert (answer["rows"], answer["receipt"]["seq"]) == ([{"lines": 1}], end)
    with serve(tmp_path, stand) as fresh:
        fresh.until(lambda: fresh.get("sales", measures="lines").status_code == 200)
        assert fresh.get("sales", measures="lines").json()["rows"] == answer["rows"]


def test_a_server_that_has_not_looked_yet_does_not_say_that_a_view_is_not_there(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    held, look = threading.Event(), Store.look
    monkeypatch.setattr(Store, "look", lambda store: held.wait(10) and look(store))
    with serve(tmp_path, stand, looked=False) as fresh:
        first = fresh.get("sales")
        held.set()
        answered(fresh, 1)
        assert (first.status_code, first.json()["type"]) == (503, "urn:dovetail:not-yet")
        assert first.headers["retry-after"]
        assert fresh.get("none").status_code == 404
