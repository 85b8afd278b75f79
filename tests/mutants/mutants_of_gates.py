"""Guards of what may come to answer by itself: gates, and batches by age."""

from __future__ import annotations

from mutant import Mutant

GATES, OF_GATES = "batch/gates.py", "tests/batch/test_gates.py"

HOLDING = [
    Mutant(
        "gates",
        "no gate is ever closed",
        GATES,
        "        return self.beyond > self.groups * (self.gate.groups or 0.0)\n",
        "        return False\n",
        f"{OF_GATES}::test_a_step_beyond_the_percentage_closes_it",
    ),
    Mutant(
        "gates",
        "as many groups as there are may move further",
        GATES,
        "self.groups * (self.gate.groups or 0.0)",
        "self.groups * (self.gate.groups and 1.0 or 0.0)",
        f"{OF_GATES}::test_so_many_groups_may_move_further",
    ),
    Mutant(
        "gates",
        "a run answers before it is judged",
        "batch/recompute.py",
        'f"{kind} batch by {owner}{judge(started, runs)}"',
        'f"{kind} batch by {owner}"',
        "tests/batch/test_recompute.py::test_a_run_that_is_judged_wrong_does_not_answer_and_its_pin_goes",
    ),
    Mutant(
        "gates",
        "what is lost of a night is looked for in the whole view",
        GATES,
        "    return manifest.runs == to[: len(manifest.runs)]\n",
        "    return False\n",
        "tests/e2e/test_gates.py::test_a_person_lets_it_answer_and_the_history_says_why",
    ),
    Mutant(
        "gates",
        "a promote is not judged",
        "dovetail/cli/change.py",
        "    elif named.promote_if:\n",
        "    elif False:\n",
        "tests/cli/test_nightly.py::test_a_closed_gate_refuses_a_promote_unless_somebody_says_why",
    ),
    Mutant(
        "gates",
        "a batch is not judged",
        "batch/job.py",
        "judge=lambda started, runs: gates.of_batch(project, view, started, runs, spark, despite=despite),",
        "",
        "tests/e2e/test_gates.py::test_a_batch_that_loses_most_of_what_came_does_not_answer",
    ),
    Mutant(
        "gates",
        "a gate is of no measure",
        "shared/gates.py",
        "        if each.measure not in measures:\n",
        "        if False:\n",
        "tests/shared/test_gates.py::test_a_gate_is_of_a_measure_of_its_view",
    ),
    Mutant(
        "gates",
        "what was held back is told for ever",
        "shared/gates.py",
        '    if found.get("generation") != manifest.generation:\n',
        "    if not found:\n",
        "tests/shared/test_gates.py::test_what_is_held_back_is_told_until_something_else_answers",
    ),
    Mutant(
        "gates",
        "a closed gate is passed for no reason",
        "dovetail/cli/despite.py",
        "    if not because.strip():\n",
        "    if False:\n",
        "tests/cli/test_nightly.py::test_a_gate_is_passed_for_a_reason_only",
    ),
    Mutant(
        "gates",
        "a batch that failed is tried again at once",
        "dovetail/cli/nightly.py",
        "            if not recent and (",
        "            if (",
        "tests/cli/test_nightly.py::test_one_that_failed_is_tried_again_no_sooner_than_one_that_did_not",
    ),
    Mutant(
        "access",
        "who only asks a view sees its changes",
        "serving/service.py",
        " and who.operates(view) else None",
        " else None",
        "tests/serving/test_changes.py::test_only_who_operates_a_view_sees_its_changes",
    ),
    Mutant(
        "access",
        "who operates one view sees the changes of another",
        "shared/grants.py",
        '        return any("operate" in grant.roles and grant.of(view) for grant in self.grants)\n',
        '        return self.may("operate")\n',
        "tests/serving/test_changes.py::test_only_who_operates_a_view_sees_its_changes",
    ),
]
