"""Loads and runs the definitions of examples/nightly under Dagster, with a stub of dovetail.

Run by test_orchestrators.py with the interpreter of an environment that has Dagster.
"""

from __future__ import annotations

import os

import dagster as dg
import dagster_definitions as found

dg.Definitions.validate_loadable(found.definitions)
repository = found.definitions.get_repository_def()
assert [schedule.name for schedule in repository.schedule_defs] == ["night_schedule"]
assert sorted(sensor.name for sensor in repository.sensor_defs) == ["deployed", "told"]


def is_tried_again() -> bool:
    try:
        found.run("batch", "sales")
    except dg.RetryRequested:
        return True
    return False


with dg.DagsterInstance.ephemeral() as instance:
    night = found.definitions.resolve_job_def("night").execute_in_process(instance=instance)
    assert {event.event_type_value for event in night.all_events} >= {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"}
    [wanted] = found.deployed()
    assert wanted.run_key == "3f2a9c0d", "a plan is followed once"
    job = found.definitions.resolve_job_def("change")
    assert job.execute_in_process(run_config=wanted.run_config, instance=instance).success

    os.environ["STUB_CLOSED"] = "1"
    closed = job.execute_in_process(run_config=wanted.run_config, instance=instance, raise_on_error=False)
    assert not closed.success
    assert "STEP_UP_FOR_RETRY" not in {event.event_type_value for event in closed.all_events}

os.environ["STUB_AWAY"] = "1"
assert is_tried_again()
