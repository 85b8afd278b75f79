"""Two DAGs for Airflow 3: each night a batch of every view and the proof; a changed view when its code was deployed.

A view's asset is updated when its batch has ended well: schedule what reads it by `Asset("dovetail_sales")`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Context, dag, task
from airflow.sdk.exceptions import AirflowFailException
from dovetail_alert import alert
from dovetail_verb import Refused, dovetail

VIEWS = ["sales", "buyers"]
DEPLOYED = Asset("dovetail_deployed")
"""Updated by whoever deploys the project's code, by Airflow's API: POST /api/v2/assets/events."""


def told(context: Context) -> None:
    """An alert, once no try is left."""
    failed = context["task_instance"]
    alert(f"{failed.dag_id}.{failed.task_id} failed: {context.get('exception')}")


def run(*words: str) -> list[Any]:
    """One verb; what would fail again is not tried again."""
    try:
        return dovetail(*words)
    except Refused as error:
        raise AirflowFailException(str(error)) from error


COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,  # a batch takes whatever came since the last one
    "max_active_runs": 1,
    "max_active_tasks": 1,  # each starts a Spark of its own
    "default_args": {"retries": 3, "retry_delay": timedelta(minutes=10), "on_failure_callback": told},
    "tags": ["dovetail"],
}


@dag(schedule="15 2 * * *", **COMMON)
def dovetail_night() -> None:
    """A batch of each view, whose gates hold back what moves too far; the others go on. Then the proof."""
    batches = []
    for view in VIEWS:

        @task(task_id=f"batch_{view}", outlets=[Asset(f"dovetail_{view}")])
        def batch(view: str = view) -> list[Any]:
            return run("batch", view)

        batches.append(batch())

    @task(trigger_rule="all_done")
    def prove() -> list[Any]:
        return run("prove")

    batches >> prove()


@dag(schedule=[DEPLOYED], **COMMON)
def dovetail_change() -> None:
    """What is declared otherwise than it answers is computed beside it, and promoted where its gates are open."""

    @task
    def changed() -> list[Any]:
        [plans] = run("plan")
        return [plan for plan in plans if plan["state"] in ("changed", "computed")]

    @task(max_active_tis_per_dag=1)
    def reprocess(plan: dict[str, Any]) -> str:
        if plan["state"] == "changed":
            run("reprocess", plan["view"], "--plan", plan["id"])
        return str(plan["view"])

    @task(max_active_tis_per_dag=1)
    def promote(view: str) -> list[Any]:
        return run("promote", view, "--because", "deployed")

    promote.expand(view=reprocess.expand(plan=changed()))


dovetail_night()
dovetail_change()
