"""A change that comes to the same states takes the runs that answer; one that does not is refused, group by group."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession

from dovetail.batch import change, imports, reprocessing
from dovetail.batch.diff import diff
from dovetail.batch.import_look import Wanted
from dovetail.batch.verify import Verified, verify
from dovetail.shared.errors import UsageError
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.ledger import VersionFails
from dovetail.shared.log import Log
from dovetail.shared.manifest import ORIGIN, Manifest, Run

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(300)]
VIEWS = """
import dovetail as dv
from pyspark.sql import functions as F

events = dv.source("{name}", schema="key string, n bigint")


def priced(lines):
    return lines.withColumn("amount", {amount})


totals = dv.view(
    "totals", source=events, transform=[priced], keys=["key"],
    measures={{"total": dv.sum("n"), "amount": dv.sum("amount"), "values": dv.approx_distinct("amount"){more}}},
)
"""
DECLARED, ALIKE = 'F.col("n") * 2.5', 'F.lit(2.5) * F.col("n")'


class Relabelling(Stand):
    """A project that answers from two runs and commits above them, whose transform changes."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str) -> None:
        super().__init__(folder, log, spark, name, VIEWS.format(name=name, amount=DECLARED, more=""))
        put_in_force(self.project, self.source, open_ledger(self.project, self.source, log), spark)
        for keys in ("ab", "ac"):
            self.send(*({"key": key, "n": n} for n, key in enumerate(keys * 3)))
            self.commit()
            self.batch("totals")
        self.send({"key": "a", "n": 7}, {"key": "d", "n": 8})
        self.commit()

    def change(self, amount: str, more: str = "") -> None:
        self.declare(f"{self.name}_{abs(hash(amount + more))}", VIEWS.format(name=self.name, amount=amount, more=more))

    def verify(self, sample: float = 1.0) -> Verified:
        return verify(self.project, self.project.view("totals"), self.spark, sample=sample)

    def relabel(self, parts: list[int] | None = None) -> Manifest:
        tell = (lambda so_far: parts.append(so_far.computed)) if parts is not None else (lambda _: None)
        view = self.project.view("totals")
        return reprocessing.run(self.project, view, self.log, self.spark, relabelled=True, on_part=tell)[0]

    def table(self, run: Run) -> list[dict[str, object]]:
        return DeltaTable(str(self.layout.run(run.version, run.id))).to_pyarrow_table().to_pylist()


@pytest.fixture
def stand(log: Log, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Relabelling:
    return Relabelling(tmp_path, log, spark, f"relabel_{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture(scope="module")
def unharmed(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Relabelling:
    """For those that only verify, which changes no answer."""
    return Relabelling(tmp_path_factory.mktemp("relabel"), log, spark, "relabel_unharmed")


def test_what_is_equal_takes_the_runs_that_answer_and_only_what_came_since_is_computed(stand: Relabelling) -> None:
    live = [run for run in stand.manifest.runs if run.id != ORIGIN]
    stand.change(ALIKE)
    view, new = stand.project.view("totals"), stand.project.version(stand.project.view("totals"))
    found = stand.verify(sample=0.5)
    assert (found.same, found.whole) == (True, False)
    with pytest.raises(UsageError, match="were not verified") as said:
        stand.relabel()
    assert said.value.next == "dovetail plan totals --verify"
    found = stand.verify()
    assert (found.whole, found.groups, found.equal, found.differing) == (True, 3, 3, ())
    with killed_at("relabel.run_linked"):
        stand.relabel()
    assert stand.manifest.staged == ()
    with killed_at("reprocess.staged"):
        stand.relabel()
    parts: list[int] = []
    runs = stand.relabel(parts).staged_of(new)
    copies = [run for run in runs if run.id != ORIGIN][: len(live)]
    assert parts[-1] == 2, "the records above the cut, and no others"
    assert [stand.table(run) for run in copies] == [stand.table(run) for run in live]
    assert {run.id for run in copies}.isdisjoint(run.id for run in live)
    assert diff(stand.project, view, stand.manifest, runs, stand.spark).found.same
    change.switch(stand.project, view, stand.manifest, runs, note="by the test")
    stand.send({"key": "a", "n": 9})
    stand.batch("totals")
    assert stand.manifest.live == new
    assert stand.proof().holds, stand.proof().problems
    stored = {folder.name for folder in stand.layout.of_runs("totals")}
    assert stored == {r.id for each in stand.manifest.sets for r in each if r.id != ORIGIN}, "no table is left over"


def test_what_differs_is_refused_and_says_which_groups(unharmed: Relabelling) -> None:
    unharmed.change('F.when(F.col("key") == "b", F.col("n") * 2.5 + 1e-9).otherwise(F.col("n") * 2.5)')
    found = unharmed.verify()
    assert (found.same, found.groups, found.equal) == (False, 3, 2)
    assert found.differing == ("totals[b]: amount, values; 3 rows before, 3 after",)
    with pytest.raises(UsageError, match="were not verified"):
        unharmed.relabel()
    assert [*open_ledger(unharmed.project, unharmed.source, unharmed.log).rows()[-1].versions] == [found.before]


def test_of_sums_of_doubles_what_goes_into_them_is_compared(unharmed: Relabelling) -> None:
    """They depend on the order of rows: equal ones by chance are no proof."""
    moved = "if(key = 'b' AND n = 1, 2.5D, 0D) - if(key = 'b' AND n = 3, 2.5D, 0D)"
    unharmed.change(f'F.expr("n * 2.5D + {moved}")')
    found = unharmed.verify()
    assert found.differing == ("totals[b]: amount, values; 3 rows before, 3 after",)


def test_rows_that_go_to_another_group_differ(unharmed: Relabelling) -> None:
    unharmed.change('F.col("n") * 2.5).where("key <> \'c\'").withColumn("key", F.lower("key")')
    found = unharmed.verify()
    assert found.differing == ("totals[c]: total, amount, values; 3 rows before, 0 after",)


def test_other_states_and_records_that_raise_are_not_verified(unharmed: Relabelling) -> None:
    unharmed.change(ALIKE, ', "rows": dv.count()')
    with pytest.raises(UsageError, match="measures are others") as said:
        unharmed.verify()
    assert said.value.next == "dovetail reprocess totals"
    unharmed.change('F.expr("n * 2.5D + 0 * (1 div (n - 1))")')
    with pytest.raises(VersionFails, match="DIVIDE_BY_ZERO"):
        unharmed.verify()
    unharmed.change('F.col("n") * F.lit("2.5").cast("decimal(3,1)")')
    with pytest.raises(UsageError, match="is of another type"):
        unharmed.verify()


def test_runs_that_were_computed_anew_since_are_not_the_ones_compared(stand: Relabelling) -> None:
    stand.change(ALIKE)
    stand.verify()
    declared = stand.project
    stand.change(DECLARED)
    for _ in range(3):
        stand.batch("totals", full=True)
    stand.project = declared
    with pytest.raises(UsageError, match="was compared with are there no more"):
        stand.relabel()


def test_what_holds_imports_is_computed_and_not_taken_over(stand: Relabelling) -> None:
    old = stand.folder / "old.jsonl"
    old.write_text('{"key": "a", "n": 5}\n')
    imports.run(
        stand.project, stand.source, Wanted((str(old),), overlap="unchecked"), lambda: stand.log, lambda: stand.spark
    )
    stand.batch("totals", full=True)
    stand.change(ALIKE)
    assert stand.verify().same
    with pytest.raises(UsageError, match="holds imports") as said:
        stand.relabel()
    assert said.value.next == "dovetail reprocess totals"
