"""What is told of lineage: a job, the topic and the master it reads, the table and the view it makes. Without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as JobRun
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_type_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_job,
    schema_dataset,
    set_producer,
)

from dovetail.shared import versions
from dovetail.shared.changes import HIDDEN
from dovetail.shared.declare import View
from dovetail.shared.ledger import VersionId, view_of
from dovetail.shared.manifest import Run
from dovetail.shared.measures import Measure
from dovetail.shared.project import Project
from dovetail.shared.tables import AppendTable

Event = RunEvent
PRODUCER = "urn:dovetail"
BUCKET = "_bucket"
KINDS = {"batch": "BATCH", "speed": "STREAMING"}
"""What OpenLineage calls the work of a layer."""

set_producer(PRODUCER)


class Told:
    """The events of one version. Datasets are named as OpenLineage has it: kafka://host:port and file; a view is one of
    the namespace that is called as the project's folder.

    Args:
        view: its declaration; None, or one of another version, where what its transform does is not known.
    """

    def __init__(self, project: Project, view: View | None, version: VersionId, bootstrap: str) -> None:
        self._layout, self._version, self._name = project.layout, version, view_of(version)
        self._namespace, self._broker = project.settings.folder.name, bootstrap.split(",")[0].strip()
        self._bundle = versions.load(self._layout.version(version))
        self._plain = view is not None and project.version(view) == version and not view.transform
        self._owner = view.source.owner if view is not None else ""

    def of_batch(self, run_id: str, state: str, *, run: Run | None = None, error: str = "") -> Event:
        """Of one run of a batch; `run` is what it has written, `error` the name of what ended it."""
        outputs = [self._view()]
        if run is not None:
            outputs.append(self._table(self._layout.run(run.version, run.id), rows=run.state_rows))
        failed: dict[str, Any] = {}
        if error:
            failed["errorMessage"] = error_message_run.ErrorMessageRunFacet(error, "PYTHON")
        master = self._layout.master(self._bundle.source)
        inputs = [self._topic(), InputDataset("file", str(master), facets={"schema": _schema(_columns(master))})]
        return self._event("batch", JobRun(run_id, failed), state, inputs, outputs)

    def of_speed(self, run_id: str) -> Event:
        """Of a speed job that starts."""
        outputs = [self._view(), self._table(self._layout.states(self._version))]
        return self._event("speed", JobRun(run_id), "START", [self._topic()], outputs)

    def _event(
        self, layer: str, run: JobRun, state: str, inputs: list[InputDataset], outputs: list[OutputDataset]
    ) -> Event:
        about: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet(KINDS[layer], "DOVETAIL", "JOB")}
        if self._owner:
            owners = [ownership_job.Owner(self._owner)]
            about["ownership"] = ownership_job.OwnershipJobFacet(owners)
        return RunEvent(
            eventType=RunState(state),
            eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
            run=run,
            job=Job(self._namespace, f"{layer}.{self._name}", about),
            inputs=inputs,
            outputs=outputs,
            producer=PRODUCER,
        )

    def _topic(self) -> InputDataset:
        schema = _schema({c: k for c, k in self._bundle.decoder["schema"].items() if c not in HIDDEN})
        return InputDataset(f"kafka://{self._broker}", self._bundle.topic, facets={"schema": schema})

    def _table(self, path: Path, *, rows: int | None = None) -> OutputDataset:
        figures: dict[str, Any] = {}
        if rows is not None:
            figures["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rows)
        return OutputDataset("file", str(path), facets={"schema": _schema(_columns(path))}, outputFacets=figures)

    def _view(self) -> OutputDataset:
        stored = _columns(self._layout.states(self._version))
        columns: dict[str, str | None] = {key: stored.get(key) for key in self._bundle.keys}
        columns |= {"bucket": stored[BUCKET]} if BUCKET in stored else {}
        columns |= dict.fromkeys(self._bundle.measures)  # of what type an answer is, serving says
        told: dict[str, Any] = {
            "schema": _schema(columns),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("VIEW"),
        }
        if fields := self._from_where():
            told["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(fields)
        return OutputDataset(self._namespace, self._name, facets=told)

    def _from_where(self) -> dict[str, Any]:
        """Which of the topic's fields a column of the view comes from, where no transform lies between them."""
        if not self._plain:
            return {}
        known = self._bundle.decoder["schema"]
        found = {key: ({key}, "IDENTITY") for key in self._bundle.keys if key in known}
        time = self._bundle.decoder["event_time"]
        if self._bundle.bucket_seconds is not None and time in known:
            found["bucket"] = ({time}, "TRANSFORMATION")
        found |= {name: (_taken(m, known), "AGGREGATION") for name, m in self._bundle.measures.items()}
        lineage = column_lineage_dataset
        how = {name: lineage.Transformation("DIRECT", kind) for name, (_, kind) in found.items()}
        return {
            name: lineage.Fields([self._field(column, how[name]) for column in sorted(columns)])
            for name, (columns, _) in found.items()
            if columns
        }

    def _field(self, column: str, how: Any) -> Any:
        return column_lineage_dataset.InputField(f"kafka://{self._broker}", self._bundle.topic, column, [how])


def _taken(measure: Measure, columns: Mapping[str, str]) -> set[str]:
    """The columns that a measure is of; none where it is of an expression, or of some of the rows."""
    texts = {text for state in measure.states for text in state.texts}
    found = {c for c in columns if c in texts}
    plain = {text for c in found for text in (c, f"({c}) IS NOT NULL")}
    return found if texts <= plain else set()


def _columns(table: Path) -> dict[str, str]:
    """The columns of a stored table, with their types in Arrow."""
    return {field.name: str(field.type) for field in AppendTable.existing(table).schema}


def _schema(columns: Mapping[str, str | None]) -> Any:
    fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in columns.items()]
    return schema_dataset.SchemaDatasetFacet(fields)
