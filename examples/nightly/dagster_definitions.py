"""Definitions for Dagster: each view an asset of a nightly batch, the proof a check of it, a changed view a job.

`dagster dev -f dagster_definitions.py`, with DOVETAIL_PROJECT set.
"""

# No `from __future__ import annotations`: Dagster reads the type of `config` as it stands there.
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dovetail_alert import alert
from dovetail_verb import Again, Refused, dovetail

VIEWS = ["sales", "buyers"]
POOL = "dovetail"
"""Each verb starts a Spark of its own: `dagster instance concurrency set dovetail 1`."""


def run(*words: str) -> list[Any]:
    """One verb, tried again where that is of use."""
    try:
        return dovetail(*words)
    except Again as error:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=600) from error
    except Refused as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def batch_of(view: str) -> dg.AssetsDefinition:
    """What a view answers, recomputed below a new cut where its gates are open."""

    @dg.asset(name=view, group_name="dovetail", pool=POOL, description=f"What the view {view} answers.")
    def batch() -> dg.MaterializeResult[Any]:
        [found] = run("batch", view)
        return dg.MaterializeResult(metadata={name: found[name] for name in found if name != "view"})

    return batch


@dg.multi_asset_check(specs=[dg.AssetCheckSpec("proof", asset=view) for view in VIEWS], pool=POOL)
def proof() -> Iterator[dg.AssetCheckResult]:
    """Whether a recount of the log comes to what the views hold."""
    said = ""
    try:
        run("prove")
    except dg.Failure as error:
        said = str(error.description)
    for view in VIEWS:
        yield dg.AssetCheckResult(asset_key=view, passed=not said, metadata={"said": said})


class Plan(dg.Config):
    """The change of a view that is to be made, by its id; computed where only the promote is left."""

    view: str
    id: str
    state: str


@dg.op(pool=POOL)
def reprocess(config: Plan) -> str:
    """Computes the changed view beside what answers."""
    if config.state == "changed":
        run("reprocess", config.view, "--plan", config.id)
    return config.view


@dg.op(pool=POOL)
def promote(view: str) -> None:
    """Lets it answer, where its gates are open."""
    run("promote", view, "--because", "deployed")


@dg.job
def change() -> None:
    promote(reprocess())


@dg.sensor(job=change, minimum_interval_seconds=300, default_status=dg.DefaultSensorStatus.RUNNING)
def deployed() -> Iterator[dg.RunRequest]:
    """A run for each view whose code is another than it answers with: one for each plan, whatever comes of it."""
    [plans] = dovetail("plan")
    for plan in plans:
        if plan["state"] in ("changed", "computed"):
            wanted = {name: plan[name] for name in ("view", "id", "state")}
            yield dg.RunRequest(run_key=plan["id"], run_config={"ops": {"reprocess": {"config": wanted}}})


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def told(context: dg.RunFailureSensorContext) -> None:
    """An alert, once no try is left."""
    alert(f"{context.dagster_run.job_name} failed: {context.failure_event.message}")


night = dg.define_asset_job("night", selection=VIEWS)

definitions = dg.Definitions(
    assets=[batch_of(view) for view in VIEWS],
    asset_checks=[proof],
    jobs=[night, change],
    schedules=[dg.ScheduleDefinition(job=night, cron_schedule="15 2 * * *", execution_timezone="UTC")],
    sensors=[deployed, told],
)
