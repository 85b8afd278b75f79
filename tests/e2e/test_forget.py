"""Somebody is forgotten: no file holds them any more, no answer counts them, and nothing brings them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from e2e_stand import Stand
from killed import killed_at
from pyspark.sql import SparkSession
from serving_stand import Client, serve

from dovetail.batch import change, import_drop, imports, reprocessing
from dovetail.batch.forget import Forgetting, Found
from dovetail.batch.import_look import Wanted
from dovetail.batch.imports import Imported
from dovetail.shared.errors import Busy, UsageError
from dovetail.shared.imports import Imports
from dovetail.shared.inforce import open_ledger, put_in_force
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest
from dovetail.shared.manifest_table import DeltaManifest

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]
VIEWS = """
import dovetail as dv

orders = dv.source(
    "{name}", schema="customer string, n bigint", subject="customer",
    rules=[dv.rule("n > 0", otherwise="quarantine")],
)

def checked(rows):
    return rows.selectExpr("customer", "if(n = 13, raise_error('bad luck'), n) as n")

by_customer = dv.view(
    "by_customer", source=orders, keys=["customer"], measures={{"total": dv.sum("n"), "last": dv.max("customer")}}
)
totals = dv.view("totals", source=orders, transform=[checked], measures={{"total": dv.sum("n")}})
"""
TIERS = """
tiers = dv.view(
    "tiers", source=orders, transform=dv.transforms.lookup("customers.csv", on="customer"), keys=["tier"],
    measures={"total": dv.sum("n")},
)
"""
STEPS = [
    "forget.list_written", "forget.listed", "forget.apart_blanked", "forget.master_blanked", "forget.view_computed",
    "batch.run_written", "forget.floors_raised", "forget.states_deleted", "forget.cleaned", "forget.history_deleted",
]  # fmt: skip


class Shop(Stand):
    """A shop whose orders of one customer are everywhere: in both layers, in quarantine, unreadable, set apart."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str) -> None:
        super().__init__(folder, log, spark, name, VIEWS.format(name=name))
        put_in_force(self.project, self.source, open_ledger(self.project, self.source, log), spark)
        self.orders("other-customer", 1, 2)

    def orders(self, customer: str, *numbers: int) -> None:
        self.send(*({"customer": customer, "n": n} for n in numbers))
        self.commit()

    def everywhere(self, customer: str) -> None:
        self.orders(customer, 10)
        self.batch("by_customer")
        self.batch("totals")
        self.send(*({"customer": customer, "n": n} for n in (20, -1, 13)))
        producer = self.log.producer()
        for value in (f'{{"customer": "{customer}", "n": "many"}}', f'{{"customer": "{customer}"', None):
            producer.produce(self.name, key=customer.encode(), value=value and value.encode(), partition=0)
        producer.flush()
        self.archive()
        self.commit()

    def forget(self, *customers: str) -> Found:
        return Forgetting(self.project, self.source, customers, self.spark).run(readers=0, patience=0)

    def tiers(self, customers: str) -> None:
        """From now on there is a view that knows these customers, one a line."""
        (self.folder / "customers.csv").write_text(f"customer,tier\n{customers}")
        self.declare(f"{self.name}_{len(customers)}", VIEWS.format(name=self.name) + TIERS)

    def take(self, name: str, *rows: dict[str, Any]) -> Imported:
        """Imports these rows, from a file of this name."""
        return self.take_lines(name, *map(json.dumps, rows))

    def take_lines(self, name: str, *lines: str, where: str = "") -> Imported:
        file = self.folder / name
        file.write_text("".join(f"{line}\n" for line in lines))
        wanted = Wanted((str(file),), overlap="unchecked", where=where)
        return imports.run(self.project, self.source, wanted, lambda: self.log, lambda: self.spark)

    def manifest(self, view: str) -> Manifest:
        found = DeltaManifest(self.layout.manifest(view)).read()
        assert found is not None
        return found


def files_with(root: Path, name: str) -> Iterator[str]:
    """Files under `root` whose bytes, or what they hold as Parquet, hold a name."""
    for file in (f for f in root.rglob("*") if f.is_file()):
        if name.encode() in file.read_bytes() or (
            file.suffix == ".parquet" and file.stat().st_size and name in repr(pq.read_table(file).to_pylist())
        ):
            yield str(file.relative_to(root))


@pytest.fixture
def shop(log: Log, spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Shop:
    return Shop(tmp_path, log, spark, f"forget_{abs(hash(request.node.name)) % 10**8}")


def asked(client: Client, question: str = "by_customer/query?by=customer&measures=total") -> tuple[list[dict], str]:
    """The rows of an answer up to the ledger's end, and its receipt."""
    answer = client.http.get(f"/v1/views/{question}").raise_for_status().json()
    return answer["rows"], answer["receipt"]["id"]


def follows(client: Client, shop: Shop) -> None:
    """Waits until the server answers from what is stored now."""
    for view in ("by_customer", "totals"):
        manifest, seq = shop.manifest(view), DeltaLedger(shop.layout.ledger(shop.name)).rows()[-1].seq

        def said(view: str = view) -> dict:
            return client.http.get(f"/v1/views/{view}/query").json().get("receipt", {})

        client.until(lambda said=said, m=manifest, seq=seq: said().get("id", "").startswith(f"s{m.generation}.{seq}."))


def test_nothing_is_left_and_nothing_brings_them_back(shop: Shop) -> None:
    gone = "alice-of-wonderland"
    shop.everywhere(gone)
    assert {*files_with(shop.layout.root, gone)}
    with serve(shop.folder, shop) as client:  # type: ignore[arg-type]
        follows(client, shop)
        before, receipt = asked(client)
        assert before == [{"customer": gone, "total": 43}, {"customer": "other-customer", "total": 3}]
        shop.orders("other-customer", 4)
        follows(client, shop)
        of_then = f"by_customer/query?by=customer&measures=total&as_of={receipt}"
        assert asked(client, of_then) == (before, receipt)

        found = shop.forget(gone)
        assert (found.left, found.views, found.records) == ({}, ("by_customer", "totals"), 7)
        assert [*files_with(shop.layout.root, gone)] == []
        assert client.http.get(f"/v1/views/{of_then}").status_code == 410
        follows(client, shop)
        assert asked(client)[0] == [{"customer": "other-customer", "total": 7}]
        assert asked(client, "totals/query?measures=total")[0] == [{"total": 7}]

        shop.everywhere(gone)  # they come again, through both layers
        shop.orders("other-customer", 5)
        for view in ("by_customer", "totals"):
            shop.batch(view, full=True)
            reprocessing.run(shop.project, shop.project.view(view), shop.log, shop.spark, from_scratch=True)
            manifest = shop.manifest(view)
            staged = manifest.staged_of(manifest.live)
            change.switch(shop.project, shop.project.view(view), manifest, staged, note="by the test")
        follows(client, shop)
        assert asked(client)[0] == [{"customer": "other-customer", "total": 12}]
    proof = shop.proof()
    assert (proof.holds, proof.problems) == (True, [])
    unreadable = [*files_with(shop.layout.root, gone)]
    assert {Path(file).parts[2] for file in unreadable} <= {"master", "quarantine"}, (
        "what tells nobody whom it is about"
    )
    again = shop.forget(gone)
    assert (again.left, [*files_with(shop.layout.root, gone)]) == ({}, [])
    books = [row.books for row in DeltaLedger(shop.layout.ledger(shop.name)).rows()]
    assert sum(b.dropped for b in books) == 5, "they are in the books of the commits since"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_same_command_ends_as_if_it_were_not(shop: Shop, step: str) -> None:
    gone = "alice-of-wonderland"
    shop.everywhere(gone)
    with killed_at(step):
        shop.forget(gone)
    assert shop.forget(gone).left == {}
    assert [*files_with(shop.layout.root, gone)] == []
    for view in ("by_customer", "totals"):
        manifest = shop.manifest(view)
        assert (len(manifest.runs), manifest.rollback, manifest.staged, manifest.pins) == (1, (), (), {})
        assert {f.name for f in shop.layout.of_runs(view)} == {manifest.runs[0].id}
    with serve(shop.folder, shop) as client:  # type: ignore[arg-type]
        follows(client, shop)
        assert asked(client)[0] == [{"customer": "other-customer", "total": 3}]
        assert asked(client, "totals/query?measures=total")[0] == [{"total": 3}]


def test_a_run_computed_between_the_list_and_the_master_is_not_taken_for_clean(shop: Shop) -> None:
    gone = "alice-of-wonderland"
    shop.everywhere(gone)
    with killed_at("forget.listed"):
        shop.forget(gone)
    listed = DeltaLedger(shop.layout.ledger(shop.name)).rows()[-1].seq
    while not all(runs[0].to_seq >= listed for runs in shop.manifest("by_customer").sets):
        shop.batch("by_customer", full=True)  # until there is nothing from before the list, which would tell
    (run,) = shop.manifest("by_customer").runs
    assert [*files_with(shop.layout.run(run.version, run.id), gone)]
    assert (shop.forget(gone).left, [*files_with(shop.layout.root, gone)]) == ({}, [])


def test_an_import_that_holds_them_is_dropped_first_and_others_stay_counted(shop: Shop) -> None:
    gone = "alice-of-wonderland"
    shop.everywhere(gone)
    theirs = shop.take("theirs.jsonl", {"customer": gone, "n": 100}, {"customer": "other-customer", "n": 200}).made.id
    before = DeltaLedger(shop.layout.ledger(shop.name)).rows()
    with pytest.raises(UsageError, match=f"import {theirs} .*holds one of them") as said:
        shop.forget(gone)
    assert f"--drop {theirs}" in str(said.value.next)
    assert DeltaLedger(shop.layout.ledger(shop.name)).rows() == before

    shop.batch("totals", full=True)  # a run holds it: its records stay while that one does
    import_drop.drop(shop.project, shop.source, theirs, note="by the test")
    others = shop.take("others.jsonl", {"customer": "other-customer", "n": 1000}).made.id
    assert (shop.forget(gone).left, [*files_with(shop.layout.root, gone)]) == ({}, [])
    for view in ("by_customer", "totals"):
        assert [each.id for each in shop.manifest(view).runs[0].imports] == [others]

    after = shop.take("after.jsonl", {"customer": gone, "n": 1}, {"customer": "other-customer", "n": 10_000})
    assert (after.found.rows, after.found.forgotten, after.found.records) == (2, 1, 1)
    assert [*files_with(shop.layout.root, gone)] == []
    for view in ("by_customer", "totals"):
        shop.batch(view, full=True)
    with serve(shop.folder, shop) as client:  # type: ignore[arg-type]
        follows(client, shop)
        assert asked(client)[0] == [{"customer": "other-customer", "total": 11_003}]
        assert asked(client, "totals/query?measures=total")[0] == [{"total": 11_003}]


def test_an_import_holds_whom_its_rows_are_about_however_they_are_written(shop: Shop) -> None:
    gone = "O'Brien Ltd"
    shop.orders(gone, 10)
    escaped = r'{"customer": "O\u0027Brien Ltd", "n": 100}'
    theirs = shop.take_lines("theirs.jsonl", escaped, '{"customer": "9", "n": 12}').made.id
    with pytest.raises(UsageError, match=f"import {theirs} .*holds one of them"):
        shop.forget(gone)
    import_drop.drop(shop.project, shop.source, theirs, note="by the test")
    unreadable = shop.take_lines("unreadable.jsonl", escaped[:-1], '{"customer": "9", "n": 13}').made.id
    with pytest.raises(UsageError, match=f"import {unreadable} .*holds one of them"):
        shop.forget(gone)
    import_drop.drop(shop.project, shop.source, unreadable, note="by the test")
    shop.take("others.jsonl", {"customer": "9", "n": 12})
    assert shop.forget(gone).left == {}
    assert shop.forget("12").records == 0, "a number of somebody else's is not them"


def test_no_version_and_no_note_of_an_import_names_them_any_more(shop: Shop) -> None:
    gone, others = "alice-of-wonderland", "other-customer,iron\n"
    shop.tiers(f"{gone},gold\n{others}")
    shop.orders(gone, 10)
    shop.batch("tiers")
    shop.take_lines("others.jsonl", '{"customer": "other-customer", "n": 100}', where=f"customer <> '{gone}'")
    before = DeltaLedger(shop.layout.ledger(shop.name)).rows()
    with pytest.raises(UsageError, match=r"tiers@.* answers, and customers\.csv as it is stored with it names") as said:
        shop.forget(gone)
    assert "dovetail reprocess tiers" in str(said.value.next)
    assert DeltaLedger(shop.layout.ledger(shop.name)).rows() == before

    shop.tiers(others)
    view = shop.project.view("tiers")
    reprocessing.run(shop.project, view, shop.log, shop.spark)
    manifest = shop.manifest("tiers")
    old, staged = manifest.live, manifest.staged_of(shop.project.version(view))
    change.switch(shop.project, view, manifest, staged, note="by the test")
    with killed_at("forget.bundle_set_aside"):
        shop.forget(gone)
    assert not shop.layout.version(old).exists()
    assert (shop.forget(gone).left, [*files_with(shop.layout.root, gone)]) == ({}, [])
    assert not shop.layout.scratch("forget").exists()
    shop.batch("tiers", full=True)
    (taken,) = Imports(shop.layout, shop.name).live()
    assert taken.where == "forgotten"


def test_a_replay_reads_nobody_who_is_forgotten(shop: Shop) -> None:
    gone = "alice-of-wonderland"
    shop.everywhere(gone)
    shop.forget(gone)
    replayed, _ = reprocessing.run(
        shop.project, shop.project.view("by_customer"), shop.log, shop.spark, from_scratch=True, replay=True
    )
    (run,) = replayed.staged_of(replayed.live)
    assert [*files_with(shop.layout.root, gone)] == []
    rows = DeltaTable(str(shop.layout.run(run.version, run.id))).to_pyarrow_table().to_pylist()
    assert [row["customer"] for row in rows] == ["other-customer"]


def test_what_does_not_stand_aside_is_named_and_nothing_is_written(shop: Shop) -> None:
    before = DeltaLedger(shop.layout.ledger(shop.name)).rows()
    for layer in (f"speed-{shop.name}", f"archive-{shop.name}", "batch-totals", "reprocess-by_customer"):
        with held(shop.layout.lock(layer), "a test"), pytest.raises(Busy, match=f"{layer} runs"):
            shop.forget("other-customer")
    assert DeltaLedger(shop.layout.ledger(shop.name)).rows() == before
