"""A stream of poison through a real broker, the speed layer, the archive and a batch: all of it passes, none counts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from e2e_system import System, Topic
from poison import HARMLESS, POISON, SCHEMA

from dovetail.batch.prove import prove
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.states import DeltaStates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java

VIEWS = f"""
import dovetail as dv

odd = dv.source("odd", schema={", ".join(f"{name} {kind}" for name, kind in SCHEMA.items())!r}, event_time="at",
                rules=[dv.rule.unique("name")])  # which keeps the records of a commit in memory
all_of_it = dv.view("all_of_it", source=odd, measures={{"rows": dv.count(), "n": dv.max("n")}})
raising = dv.view("raising", source=odd, measures={{"rows": dv.count(), "x": dv.sum("1 / (n - 2)")}})
too_large = dv.view("too_large", source=odd, measures={{"total": dv.sum("if(i = 7, 9223372036854775807, 0)")}})
"""


MAKE_IT_RAISE = [value for value in HARMLESS if b'"n": 2' in value]


@dataclass(frozen=True)
class Sent:
    value: bytes | None
    key: bytes | None = None


def test_poison_is_kept_byte_for_byte_with_its_reason_by_both_layers(
    log: Log, spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "dovetail.toml").write_text(f'views = ["odd_views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n')
    (tmp_path / "odd_views.py").write_text(VIEWS)
    with System(tmp_path, Topic(log, "odd", partitions=2), {}) as system:
        system.topic.send(map(Sent, [*POISON, *HARMLESS]))
        system.speed_here(spark)
        system.archive_here(spark)
        layout, end = system.project.layout, system.topic.end
        rows = DeltaLedger(layout.ledger("odd")).rows()
        last = rows[-1]
        assert last.to.reaches(end)
        assert [v.split("@")[0] for v in last.versions] == ["all_of_it", "raising"]
        (detached,) = (row for row in rows if row.kind == "detach")
        assert re.match(r"it raises ARITHMETIC_OVERFLOW for records \d@0\.\.", detached.note)
        kept = DeltaStates(layout, "odd").quarantined().to_pylist()
        assert Counter((r["value"], r["reason"]) for r in kept) == Counter(POISON.items())
        assert {(r["partition"], r["offset"]): r["value"] for r in kept} == {
            (place.partition, place.offset): sent.value
            for place, sent in system.topic.sent.items()
            if sent.value in POISON
        }
        failing = DeltaStates(layout, "odd").failing().to_pylist()
        assert {(r["partition"], r["offset"], r["reason"], r["value"]) for r in failing} == {
            (place.partition, place.offset, "raising raised DIVIDE_BY_ZERO", sent.value)
            for place, sent in system.topic.sent.items()
            if sent.value in MAKE_IT_RAISE
        }
        system.batch(spark, "all_of_it", full=True)
        system.batch(spark, "raising", full=True)
        manifest = DeltaManifest(layout.manifest("all_of_it")).read()
        assert manifest is not None
        (run,) = (r for r in manifest.runs if r.id != "origin")
        stored = DeltaTable(str(layout.run(run.version, run.id))).to_pyarrow_table().to_pylist()
        assert [row["_rows"] for row in stored] == [len(HARMLESS)]
        proof = prove(system.project, system.source, log, spark)
        assert proof is not None
        assert (proof.problems, proof.lost, proof.doubled, proof.holds) == ([], 0, 0, True)
        assert proof.books.quarantined == len(POISON) > 40
