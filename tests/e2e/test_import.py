"""Old history enters the answers with the next full run, stays in them by their receipt, and leaves them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession

from dovetail.batch import import_drop, imports, reprocessing, trace_import
from dovetail.batch.import_look import Wanted
from dovetail.batch.imports import Imported
from dovetail.batch.plan import plan
from dovetail.batch.why import Asked, why
from dovetail.shared.errors import RuleBroken, UsageError
from dovetail.shared.imports import Imports
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Admitted, Run
from dovetail.shared.position import RecordId
from dovetail.shared.status import look
from dovetail.shared.troubles import Code, troubles

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(400)]
VIEWS = """
import dovetail as dv
from pyspark.sql import functions as F

events = dv.source("{name}", schema="id bigint, at timestamp, key string, n bigint", event_time="at", event_id={id},
                   rules=[dv.rule("n > 0", otherwise="{otherwise}")])


def picky(rows):
    return rows.withColumn("n", F.when(F.col("n") == 13, F.raise_error(F.lit("unlucky"))).otherwise(F.col("n")))


totals = dv.view("totals", source=events, transform=[picky], keys=["key"], bucket="1d",
                 measures={{"total": dv.sum("n")}})
"""
BECAUSE = "from the old shop"


def event(id_: int, n: int, at: str = "2019-05-01T00:00:00Z", key: str = "a") -> dict[str, Any]:
    return {"id": id_, "at": at, "key": key, "n": n}


class Old(Stand):
    """A project with one view, in force from the first record on, whose log holds the events 1 and 2."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str, **declared: str) -> None:
        self.views = {"id": '"id"', "otherwise": "quarantine", **declared}
        super().__init__(folder, log, spark, name, VIEWS.format(name=name, **self.views))
        put_in_force(self.project, self.source, open_ledger(self.project, self.source, log), spark)
        self.send(event(1, 1), event(2, 2))
        self.commit()
        self.batch("totals")

    def file(self, name: str, *rows: Any) -> str:
        path = self.folder / name
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
        return str(path)

    def take(self, *files: str, dry_run: bool = False, **wanted: Any) -> Imported:
        return imports.run(
            self.project, self.source, Wanted(files, **wanted), lambda: self.log, lambda: self.spark, dry_run=dry_run
        )

    def total(self, runs: tuple[Run, ...] = ()) -> int:
        """What the runs come to: there is no commit of speed above them."""
        tables = [
            DeltaTable(str(self.layout.run(r.version, r.id))).to_pyarrow_table()
            for r in runs or self.manifest.runs
            if r.id != ORIGIN
        ]
        column = next(c for c in tables[0].column_names if c.startswith("sum"))
        return sum(pc.sum(t[column]).as_py() or 0 for t in tables)

    @property
    def waiting(self) -> list[str]:
        found = troubles(look(self.project, self.log))
        return [t.what for t in found if t.code == Code.IMPORT_WAITING]

    def tree(self) -> set[str]:
        return {str(p) for p in self.layout.root.rglob("*")}


@pytest.fixture
def made(log: Log, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Old]:
    name = f"import_{abs(hash(request.node.name)) % 10**8}"
    return lambda **declared: Old(tmp_path, log, spark, name, **declared)


def test_an_import_enters_with_a_full_run_and_leaves_with_one(made: Callable[..., Old]) -> None:
    stand = made()
    assert stand.total() == 3
    old = stand.file("old.jsonl", event(10, 10), event(11, 20), event(10, 10), event(12, 13), event(13, 0), "broken")
    done = stand.take(old, note=BECAUSE)
    found = done.found
    assert (found.rows, found.records, found.repeats, found.overlapping) == (6, 6, 1, 0)
    assert {str(first): n for n, first in found.bad.values()} == {"import:1/1#5": 1, "import:1/1#6": 1}
    assert done.columns.lacking == ()

    assert stand.total() == 3, "not before the next full run"
    assert stand.waiting == ["totals: import 1 is not in its answers yet"]
    view = stand.project.view("totals")
    assert any("import 1 was imported after" in note for note in plan(stand.project, view).notes)
    stand.send(event(3, 3))
    stand.batch("totals")
    assert (stand.manifest.imports, stand.total()) == ((), 6), "an incremental run never takes one in"
    proof = stand.proof()
    assert (proof.holds, [(i.records, i.views) for i in proof.imported]) == (True, [(6, ())])

    stand.batch("totals", full=True)
    assert (stand.total(), stand.manifest.imports, stand.waiting) == (36, (Admitted(1, 6, 2, 1),), [])
    assert stand.manifest.runs[0].failed == 1, "the row that makes the transform raise is set apart, by its name"
    stand.send(event(4, 4))
    stand.batch("totals")
    assert (len(stand.manifest.runs), stand.total(), stand.manifest.imports[0].id) == (2, 40, 1), "its set keeps it"
    proof = stand.proof()
    assert (proof.holds, [(i.records, i.views) for i in proof.imported]) == (True, [(6, ("totals",))]), proof.problems

    behind = why(stand.project, view, Asked({"key": ["a"]}), stand.log, stand.spark)
    assert behind.agree
    assert "import:1/1#1" in {str(line.record) for line in behind.lines if line.below_cut}
    traced = {row: trace_import.trace(stand.project, stand.source, place, lambda: stand.spark)
              for row in (1, 3, 4, 5, 6, 99) for place in [RecordId.imported(1, file=1, row=row)]}  # fmt: skip
    assert traced[1].views[0].groups[0].keys == {"key": "a"}
    assert (traced[3].fate, traced[3].views[0].groups) == ("repeat", ())
    assert "USER_RAISED" in traced[4].views[0].reason
    assert (traced[5].fate, traced[6].fate) == ("quarantined", "quarantined")
    assert traced[99].missing
    assert trace_import.place(stand.project, stand.source, "import:1/old.jsonl#3") == traced[3].record

    import_drop.drop(stand.project, stand.source, 1, note="wrong")
    assert (stand.total(), stand.manifest.imports[0].id) == (40, 1), "the answer stays what its receipt says"
    assert stand.waiting == ["totals: import 1 is dropped, and in its answers still"]
    assert stand.proof().holds, "its records stay as long as an answer holds them"
    stand.batch("totals", full=True)
    assert (stand.total(), stand.manifest.imports, stand.waiting) == (10, (), [])
    assert stand.proof().holds


def test_overlap_with_the_log_is_found_before_anything_is_written(made: Callable[..., Old]) -> None:
    stand = made()
    stand.send(event(3, 3))  # archived, in no ledger row yet
    mixed = stand.file("mixed.jsonl", event(2, 2, at="2018-01-01T00:00:00Z"), event(3, 3), event(20, 20))
    before = stand.tree()
    dry = stand.take(mixed, dry_run=True)
    assert (dry.found.overlapping, [str(a) for a, _ in dry.found.examples]) == (2, ["import:1/1#1", "import:1/1#2"])
    assert stand.tree() == before, "a dry run writes nothing"
    with pytest.raises(UsageError, match="2 rows have an event id that is in the log: import:1/1#1 is 0@1"):
        stand.take(mixed)
    assert Imports(stand.layout, stand.name).all() == []
    done = stand.take(mixed, overlap="skip")
    assert (done.found.records, done.made.overlapping) == (1, 2)
    narrowed = stand.file("narrow.jsonl", event(2, 2, at="2018-01-01T00:00:00Z"), event(21, 1))
    assert stand.take(narrowed, where="at > '2019-01-01'").found.records == 1
    stand.batch("totals", full=True)
    assert (stand.total(), stand.proof().holds) == (27, True)


def test_between_imports_an_event_counts_once_also_when_one_is_dropped(made: Callable[..., Old]) -> None:
    stand = made()
    stand.take(stand.file("a.jsonl", event(10, 10), event(11, 1)))
    stand.take(stand.file("b.jsonl", event(10, 10), event(11, 1, at="2021-01-01T00:00:00Z")))
    stand.batch("totals", full=True)
    assert stand.total() == 3 + 10 + 1 + 1, "beyond the horizon it is another event"
    import_drop.drop(stand.project, stand.source, 1, note="")
    stand.batch("totals", full=True)
    assert (stand.total(), stand.proof().holds) == (3 + 10 + 1, True)
    assert [(i.records, i.repeats) for i in stand.manifest.imports] == [(2, 0)]


@pytest.mark.parametrize("name", ["import.rows_written", "import.named"])
def test_a_killed_import_is_there_or_not_and_the_same_command_ends_the_same(
    made: Callable[..., Old], name: str
) -> None:
    stand = made()
    old = stand.file("old.jsonl", event(10, 10))
    with killed_at(name):
        stand.take(old)
    live = Imports(stand.layout, stand.name).live()
    if name == "import.named":
        with pytest.raises(UsageError, match="imported already: it is in import 1"):
            stand.take(old)
    else:
        assert live == ()
        stand.take(old)
    assert len([*stand.layout.imported(stand.name).iterdir()]) == 1, "what the killed one wrote is gone"
    stand.batch("totals", full=True)
    assert (stand.total(), stand.proof().holds) == (13, True)


def test_the_proof_sees_an_import_that_is_not_what_was_imported(made: Callable[..., Old]) -> None:
    stand = made()
    done = stand.take(stand.file("old.jsonl", event(10, 10), event(11, 11)))
    stand.batch("totals", full=True)
    path = str(stand.layout.imported(stand.name) / done.made.folder)
    rows = DeltaTable(path).to_pyarrow_table()
    write_deltalake(path, rows.slice(0, 1), mode="overwrite")
    proof = stand.proof()
    assert not proof.holds
    assert (proof.lost, proof.doubled) == (1, 1), "the import lacks one, so the answer's group has one too many"
    assert any("its records are not those that were imported: 1 of 2" in each for each in proof.problems)


def test_a_version_computed_beside_takes_it_in_with_its_first_part(made: Callable[..., Old]) -> None:
    stand = made()
    stand.take(stand.file("old.jsonl", event(10, 10)))
    view = stand.project.view("totals")
    told = list[reprocessing.Progress]()
    found, version = reprocessing.run(
        stand.project, view, stand.log, stand.spark, from_scratch=True, on_part=told.append
    )
    runs = found.staged_of(version)
    assert (told[-1].done, told[-1].records) == (sum(r.records for r in runs) + 1,) * 2, (
        "what is imported takes time too"
    )
    assert (stand.total(runs), [a.id for a in runs[0].imports], stand.total()) == (13, [1], 3)


def test_a_source_without_an_event_id_says_that_overlap_cannot_be_found(made: Callable[..., Old]) -> None:
    stand = made(id="()", otherwise="fail")
    old = stand.file("old.jsonl", event(10, 10), event(11, 0))
    with pytest.raises(UsageError, match="nobody can tell whether the log holds"):
        stand.take(old)
    with pytest.raises(RuleBroken, match="import:1/1#2 breaks the rule"):
        stand.take(old, overlap="unchecked")
    for where, says in {"nope = 1": "unknown column 'nope'", "n": "not true or false", "n > 9 AND": "where"}.items():
        with pytest.raises(UsageError, match=says):
            stand.take(old, where=where)
    with pytest.raises(UsageError, match="no row is left to import"):
        stand.take(old, where="n > 99")
    with pytest.raises(UsageError, match="no row has a time there"):
        stand.take(old, where="n > 0", timestamp="nope")
    done = stand.take(old, where="n > 0", timestamp="at")
    assert (done.found.records, done.made.oldest) == (1, 1556668800.0)
    with pytest.raises(UsageError, match="imported already"):
        stand.take(old, where="n > 5")
