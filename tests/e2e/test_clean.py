"""Cleaning between commits, kills and batches on the real stack: every answer stays the truth, old receipts are 410."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from killed import killed_at
from test_gaps import Say, answered, keys, say, send, system

from dovetail.batch.clean import Clean
from dovetail.batch.prove import prove
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.states import DeltaStates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]
__all__ = ["say"]


def test_answers_are_the_truth_whatever_was_killed_and_cleaned(
    log: Log, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    with system(log, tmp_path, "cleaned", monkeypatch) as running:
        with (tmp_path / "dovetail.toml").open("a") as settings:
            settings.write('[retention]\nrollbacks = 1\nrollback_window = "0 seconds"\n')
        running.reload()
        layout, true = running.project.layout, keys()

        def clean() -> list[str]:
            done = Clean(layout, dry_run=False).run()
            assert done.left == []
            return [waste.kind for waste in done.waste]

        def sent(ids: range) -> None:
            nonlocal true
            send(running, ids, ids.start % 2)
            true += keys(*ids)

        sent(range(6))
        running.speed_here(spark)
        sent(range(10, 15))
        for point in ("speed.between_versions", "speed.before_ledger"):
            with killed_at(point):
                running.speed_here(spark)
        assert clean() == ["rows of killed commits"]
        running.speed_here(spark)
        running.serve()
        assert answered(running) == true

        running.archive_here(spark)
        with killed_at("batch.run_written"):
            running.batch(spark)
        assert clean() == ["run tables that nothing names"]
        assert answered(running) == true
        running.batch(spark)
        old = running.ask("cleaned_view", by="key")["receipt"]
        assert answered(running) == true

        file = tmp_path / "cleaned_views.py"
        file.write_text(
            re.sub(r"\{\"rows\": dv.count\(\)\}", '{"rows": dv.count(), "ids": dv.max("id")}', file.read_text())
        )

        sys.modules.pop("cleaned_views")
        running.reload()
        for first in (20, 30):  # the version before may not be gone back to any more
            sent(range(first, first + 4))
            running.speed_here(spark)
            running.archive_here(spark)
            running.batch(spark, full=True)
        sent(range(50, 53))
        manifests = DeltaManifest(layout.manifest("cleaned_view"))
        running.speed_here(spark)
        assert len(manifests.read().rollback) == 1
        assert old["version"] not in DeltaLedger(layout.ledger("cleaned")).rows()[-1].versions
        assert "states of earlier versions" in say("clean", "--dry-run")[1]
        assert clean() == ["states of earlier versions"]
        assert DeltaStates(layout, "cleaned").table(old["version"]).read().num_rows == 0
        assert answered(running) == true
        server = running.project.settings.serving
        asked = httpx.get(
            f"http://{server.host}:{server.port}/v1/views/cleaned_view/query", params={"by": "key", "as_of": old["id"]}
        )
        assert asked.status_code == httpx.codes.GONE, asked.text

        sent(range(60, 66))
        with killed_at("speed.before_ledger"):
            running.speed_here(spark)
        assert clean() == ["rows of killed commits"]
        running.speed_here(spark)
        running.archive_here(spark)
        running.batch(spark)
        assert answered(running) == true
        assert manifests.read().floor(old["version"]) > 0
        proof = prove(running.project, running.source, log, spark)
        assert proof is not None
        assert (proof.problems, proof.lost, proof.doubled, proof.holds) == ([], 0, 0, True)
