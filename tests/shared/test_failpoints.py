"""Fault switches do nothing unless a test arms them."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dovetail.shared.failpoints as failpoints

ROOT = Path(__file__).parents[2]


def run(env):
    code = (
        "from dovetail.shared.failpoints import failpoint\n"
        "for _ in range(3): failpoint('speed.before_ledger')\n"
        "print('alive')"
    )
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)


def test_nothing_happens_where_none_is_armed():
    assert run({}).stdout == "alive\n"


@pytest.mark.parametrize(("nth", "code"), [(1, -9), (3, -9), (4, 0)])
def test_the_nth_pass_of_an_armed_one_is_a_kill_9(nth, code):
    env = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": f"speed.before_ledger:crash|nth={nth}"}
    assert run(env).returncode == code


def test_outside_test_mode_an_armed_one_is_refused():
    refused = run({"DOVETAIL_FAILPOINT": "speed.before_ledger:crash"})
    assert refused.returncode == 1
    assert "set outside test mode" in refused.stderr


WRITING = {
    "write_deltalake", "append_if", "save", "vacuum", "delete", "compact", "swap", "_swapped",
    "rmtree", "rename", "unlink", "write_table", "write_text", "write_bytes", "copyfile", "copytree",
    "put", "new_folder", "rm", "cp_file", "pipe_file", "rm_file",
}  # fmt: skip
"""Calls that change what lies in the storage root; of `append` only those of tables and stores."""
STORES = re.compile(r".*_table|table|ledger|store|self\._(quarantine|failing|repeats|claims)")
STEPS = {
    "shared/claims.py:_append": ["batch/archive.py:archive", "shared/gaps.py:_pass"],
    "shared/commit.py:_appended": ["shared/commit.py:commit", "shared/commit.py:supersede", "shared/gaps.py:_pass"],
    "shared/private.py:write": [],  # one write: grants and keys, or around it the failpoints of a push
    "shared/audit.py:_set_aside": [],  # one rename, of a log that no answer depends on
    "shared/notes.py:keep": [],  # one write
    "shared/dimensions.py:set": [],  # one write: which dimensions a view's questions may use
    "shared/imports.py:_append": ["shared/imports.py:add", "shared/imports.py:drop"],
    "shared/kept_schemas.py:settled": [],  # one write: what a registry has said
    "shared/ledger_table.py:append": ["shared/commit.py:commit"],
    "shared/ledger_table.py:compact": ["shared/upkeep.py:tidy"],
    "shared/manifest_table.py:swap": ["batch/recompute.py:run", "batch/job.py:run"],
    "shared/places.py:put": ["shared/dimensions.py:add"],
    "shared/places.py:delete": ["batch/clean.py:_folder", "batch/import_drop.py:delete_unneeded"],
    "shared/places.py:copy": ["batch/relabel.py:stage"],
    "shared/places.py:_linked": ["batch/relabel.py:stage"],
    "shared/places.py:new_folder": ["shared/versions.py:store"],
    "shared/places.py:_write": ["shared/versions.py:store"],
    "shared/places.py:refuse_unconditional": [],  # a probe that nothing reads
    "shared/pauses.py:resume": [],  # one write
    "shared/repeats.py:_opened": [],  # deletes an index that is of no use any more
    "shared/repeats_apart.py:_kept": [],  # the same
    "shared/seen.py:written": ["shared/seen.py:add"],
    "shared/seen.py:__init__": [],  # the same
    "shared/seen.py:clear": [],
    "shared/trino/client.py:pages": [],  # ends a query of which nobody reads on
    "shared/trino/sync.py:_copy": [],  # one write
    "shared/states.py:write_states": ["shared/commit.py:commit"],
    "shared/states.py:write_quarantined": ["shared/commit.py:commit"],
    "shared/states.py:write_failing": ["shared/commit.py:commit"],
    "shared/states.py:write_repeats": ["shared/commit.py:commit"],
    "shared/states.py:delete_through": ["shared/upkeep.py:tidy", "batch/clean.py:_earlier"],
    "shared/forgotten.py:write": ["shared/commit.py:forget"],
    "shared/supersede.py:write": ["shared/commit.py:supersede"],
    "shared/stream.py:follow": [],  # scratch
    "shared/tables.py:append": ["shared/commit.py:commit", "shared/dimensions.py:add"],
    "shared/tables.py:append_if": ["shared/commit.py:commit", "batch/recompute.py:run"],
    "shared/tables.py:delete": ["shared/upkeep.py:tidy", "batch/orphans.py:delete"],
    "batch/master.py:write_claim": ["batch/archive.py:archive"],
    "batch/master.py:append": ["batch/archive.py:archive"],
    "batch/master.py:create": [],  # one write: the empty table
    "batch/run_table.py:look_at": [],  # writes nothing: the engine computes, and drops what it has
    "batch/imports.py:_write": ["batch/imports.py:run"],
    "batch/imports.py:_room": [],  # scratch
    "batch/imports.py:_gathered": [],  # scratch
    "batch/promote.py:promote": ["batch/recompute.py:run"],
    "batch/promote.py:stage": ["batch/reprocessing.py:_part"],
    "batch/promote.py:unstage": [],  # one write
    "batch/promote.py:give_up": ["batch/clean.py:_earlier"],
    "batch/promote.py:pin": ["batch/recompute.py:run"],
    "batch/promote.py:drop_pins": ["batch/recompute.py:run"],
    "batch/promote.py:raise_floors": ["batch/job.py:run"],
    "batch/promote.py:_swapped": ["batch/recompute.py:run"],
    "batch/forget_bundles.py:_withdraw": ["batch/forget_bundles.py:delete"],
    "batch/behind.py:on_disk": [],  # scratch
    "batch/recount.py:truth": [],  # scratch
}
"""Functions that write and pass no failpoint themselves, and those that do it around each of their calls."""
ELSEWHERE = (
    "shared/broker.py",
    "shared/jars.py",
    "shared/class_archive.py",
    "shared/corrections.py",
    "shared/dimensions.py:_digest",
)
"""Nothing of these lies in the tables."""


def functions():
    for folder in ("shared", "batch", "speed"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield (
                        f"{file.relative_to(ROOT)}:{node.name}",
                        [n for n in ast.walk(node) if isinstance(n, ast.Call)],
                    )


def writes(call):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of_store = name == "append" and STORES.fullmatch(ast.unparse(call.func.value))
    return name in WRITING or of_store or re.fullmatch(r"AppendTable\(.*\)\.append", ast.unparse(call.func))


def passes(calls):
    return any(getattr(call.func, "id", "") == "failpoint" for call in calls)


def test_every_function_that_writes_can_be_killed_between_its_writes():
    found = dict(functions())
    writing = {name for name, calls in found.items() if any(map(writes, calls)) and not name.startswith(ELSEWHERE)}
    silent = {name for name in writing if not passes(found[name])}
    assert silent == set(STEPS), "a function that writes passes a failpoint, or is named with those that do"
    assert {around for steps in STEPS.values() for around in steps if not passes(found[around])} == set()


def test_every_name_is_passed_by_some_step_and_no_step_passes_another():
    passed = set()
    for folder in ("shared", "batch", "speed", "serving", "dovetail/pushing", "dovetail/feeding"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
                    passed.add(node.args[0].value)
    assert passed == set(failpoints.NAMES)


def test_every_name_is_one_that_some_test_kills_at():
    tests = [f.read_text() for f in (ROOT / "tests").rglob("*.py") if f != Path(__file__)]
    told = {name for name in failpoints.NAMES if any(f'"{name}"' in text for text in tests)}
    walked = {
        name for name in failpoints.NAMES if name.split(".")[0] in ("archive", "speed", "batch", "prune", "compact")
    }
    assert told | walked == set(failpoints.NAMES)
