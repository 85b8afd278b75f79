"""A project without processes of its own: its records go through archive, commit and batch in the test's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from dovetail.batch import job
from dovetail.batch.master import DeltaMaster
from dovetail.batch.prove import Proof, prove
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.decode import named
from dovetail.shared.inforce import open_ledger
from dovetail.shared.judge import Judge
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest
from dovetail.shared.manifest_table import DeltaManifest


class Stand:
    """A project whose records go from the topic through archive and commit in this process."""

    def __init__(self, folder: Path, log: Log, spark: SparkSession, name: str, views: str) -> None:
        """One source, `name`, which is also its topic; `views` is the file that declares it."""
        self.folder, self.log, self.spark, self.name = folder, log, spark, name
        self.declare(f"{name}_views", views)
        log.create(name, partitions=1)

    def declare(self, module: str, views: str) -> None:
        """From now on the project is what this file says."""
        bootstrap = f'[kafka]\nbootstrap = "{self.log.bootstrap}"\n'
        (self.folder / "dovetail.toml").write_text(f'views = ["{module}.py"]\n{bootstrap}')
        (self.folder / f"{module}.py").write_text(views)
        self.project = projects.load(settings.load(self.folder))
        self.source, self.layout = self.project.source(self.name), self.project.layout

    def send(self, *records: dict[str, Any]) -> list[str]:
        """Sends these to the one partition and archives them; gives their places."""
        producer, places = self.log.producer(), list[str]()
        for record in records:
            producer.produce(
                self.name,
                value=json.dumps(record),
                partition=0,
                on_delivery=lambda error, message: places.append(f"{message.partition()}@{message.offset()}"),
            )
        producer.flush()
        self.archive()
        return places

    def archive(self) -> bool:
        """Archives what is in the topic; whether there was anything new."""
        master = DeltaMaster(self.layout, self.source, self.spark)
        ledger, extent = open_ledger(self.project, self.source, self.log), self.log.extent(self.name)
        begin = master.last_claim() or ledger.rows()[0].to
        if begin == extent.end:
            return False
        options = self.log.spark_span_options(self.name, begin.with_partitions(extent.end), extent.end)
        master.append(named(self.spark.read.format("kafka").options(**options).load()), topic_id=extent.topic_id)
        master.write_claim(extent.end)
        return True

    def batch(self, view: str, *, full: bool = False) -> Manifest:
        found = job.run(self.project, self.project.view(view), self.log, self.spark, full=full)
        assert found is not None
        return found

    @property
    def manifest(self) -> Manifest:
        """Of the view `totals`."""
        found = DeltaManifest(self.layout.manifest("totals")).read()
        assert found is not None
        return found

    def commit(self) -> int:
        """Commits what the archive holds, as speed would; gives the seq."""
        ledger = DeltaLedger(self.layout.ledger(self.name))
        judge = Judge.of_commits(self.source, ledger, self.layout, self.log, self.spark)
        master = DeltaMaster(self.layout, self.source, self.spark, judge=judge)
        job.catch_up_if_stopped(self.project, self.source, ledger, master)
        return ledger.rows()[-1].seq

    def proof(self, sample: float = 1.0) -> Proof:
        found = prove(self.project, self.source, self.log, self.spark, sample=sample)
        assert found is not None
        return found
