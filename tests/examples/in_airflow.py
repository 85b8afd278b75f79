"""Loads the DAGs of examples/nightly as Airflow's own processor does, and calls their tasks, with a stub of dovetail.

Run by test_orchestrators.py with the interpreter of an environment that has Airflow 3, in an AIRFLOW_HOME of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

found = DagBag(Path(__file__).parents[2] / "examples" / "nightly")
assert found.import_errors == {}
assert {name: sorted(dag.task_ids) for name, dag in found.dags.items()} == {
    "dovetail_night": ["batch_buyers", "batch_sales", "prove"],
    "dovetail_change": ["changed", "promote", "reprocess"],
}
night, change = found.dags["dovetail_night"], found.dags["dovetail_change"]
assert night.get_task("prove").upstream_task_ids == {"batch_sales", "batch_buyers"}
assert change.get_task("promote").upstream_task_ids == {"reprocess"}
for task in night.tasks:
    assert (task.retries, bool(task.on_failure_callback)) == (3, True), task.task_id


def refusal() -> str:
    try:
        change.get_task("promote").python_callable("sales")
    except AirflowFailException as refused:
        return str(refused)
    return ""


night.get_task("batch_sales").python_callable("sales")
[plan] = change.get_task("changed").python_callable()
assert change.get_task("reprocess").python_callable(plan) == "sales"
assert refusal() == ""
os.environ["STUB_CLOSED"] = "1"
assert "lines 10 → 1" in refusal()
