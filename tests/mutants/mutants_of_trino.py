"""Trino's views without their guards."""

from __future__ import annotations

from mutant import Mutant

STATEMENT = "shared/trino/statement.py"
SERVER = "tests/trino/test_trino.py"
UNIT = "tests/shared/test_trino.py"
ROWS = "serving/trino_rows.py"
RUNS = "serving/trino_runs.py"
ENGINE = "tests/serving/test_trino_engine.py"

TRINO = [
    Mutant(
        "1",
        "Trino counts states that no ledger row names",
        STATEMENT,
        "s JOIN above a ON s._commit_id = a.commit_id",
        "s JOIN above a ON s._seq = a.seq",
        f"{SERVER}::test_trino_the_api_and_the_records_agree_before_across_and_after_a_cut",
    ),
    Mutant(
        "8",
        "Trino answers from states that were pruned",
        STATEMENT,
        'f"pruned > {manifest.seq}"',
        'f"pruned > {NEVER}"',
        f"{SERVER}::test_states_that_were_pruned_are_missed_by_the_view_of_before_and_not_after_a_sync",
    ),
    Mutant(
        "5",
        "Trino answers for a version that missed a row",
        STATEMENT,
        '"missed < detached"',
        '"missed < 0"',
        f"{SERVER}::test_parts_that_do_not_fit_together_give_the_reason_and_no_number",
    ),
    Mutant(
        "1",
        "Trino counts a part of a commit",
        STATEMENT,
        "least(c.detached, c.unseen)",
        "c.detached",
        f"{SERVER}::test_parts_that_do_not_fit_together_give_the_reason_and_no_number",
    ),
    Mutant(
        "access",
        "Trino shows what a grant masks",
        "shared/trino/offer.py",
        "        masks=_masks(to, grants, sensitive.of(layout, view)),\n",
        "",
        f"{UNIT}::test_what_any_grant_hides_is_hidden_from_all_unless_one_is_named",
    ),
    Mutant(
        "7",
        "Trino does not follow before a batch deletes",
        "batch/job.py",
        "            trino.follow(project.settings, view.name)  # whose view reads what may be deleted from here on\n",
        "",
        "tests/batch/test_job.py::test_trino_follows_before_anything_that_its_view_reads_is_deleted",
    ),
    Mutant(
        "forgetting",
        "Trino does not follow before what answered is let go of",
        "batch/forget.py",
        "                trino.follow(self.project.settings, view)",
        "",
        "tests/batch/test_forget.py::test_trino_follows_each_view_before_what_it_read_is_let_go_of",
    ),
    Mutant(
        "access",
        "Trino shows what a source calls sensitive",
        "shared/trino/offer.py",
        "sensitive.of(layout, view)",
        "{}",
        f"{UNIT}::test_what_a_source_calls_sensitive_is_masked_but_for_a_named_grant",
    ),
    Mutant(
        "1",
        "a question to Trino that no rows are left of skips the check",
        STATEMENT,
        'FROM fitting WHERE fits")',
        'FROM fitting WHERE false")',
        f"{SERVER}::test_parts_that_do_not_fit_together_give_the_reason_and_no_number",
    ),
    Mutant(
        "13",
        "Trino adds up floating numbers, in whatever order",
        ROWS,
        "pa.types.is_floating(kind) or pa.types.is_nested(kind))",
        "pa.types.is_nested(kind))",
        f"{ENGINE}::test_both_engines_give_the_same_bytes_across_a_cut_and_over_a_batch",
    ),
    Mutant(
        "a question",
        "what lies in a bucket that begins before the start is fetched as of before it",
        ROWS,
        "    if plan.since is not None and (plan.since - origin) % width:",
        "    if plan.since is None and width < 0:",
        f"{ENGINE}::test_both_engines_give_the_same_bytes_across_a_cut_and_over_a_batch",
    ),
    Mutant(
        "access",
        "Trino compares what is stored with what is asked of a mask",
        ROWS,
        "if c.name not in masks]",
        "]",
        f"{ENGINE}::test_who_sees_less_sees_the_same_of_both",
    ),
    Mutant(
        "a question",
        "a time is answered as Trino reads it, to the millisecond",
        ROWS,
        "    _check_times(shape, plan, [*apart, *alike])\n",
        "",
        f"{ENGINE}::test_a_question_with_a_time_in_its_answer_is_refused_with_what_may_be_asked",
    ),
    Mutant(
        "8",
        "a run is answered from of which Trino does not see every row",
        RUNS,
        "if count != run.state_rows:",
        "if count < 0:",
        f"{ENGINE}::test_a_run_of_which_trino_sees_another_number_of_rows_gives_no_answer",
    ),
    Mutant(
        "connections",
        "a query in Trino goes on for as long as it likes",
        RUNS,
        "if time.monotonic() > until:",
        "if until < 0:",
        f"{ENGINE}::test_a_query_is_ended_after_the_seconds_that_are_allowed",
    ),
    Mutant(
        "connections",
        "a question fetches whatever it needs into memory",
        RUNS,
        "if rows > MOST_GROUPS or size > MOST_BYTES:",
        "if rows > MOST_GROUPS:",
        f"{ENGINE}::test_more_than_a_question_may_need_is_refused",
    ),
    Mutant(
        "operations",
        "a sync fails where a server has registered the table first",
        "shared/trino/tables.py",
        'if "ALREADY_EXISTS" not in error.what:',
        "if error.what:",
        f"{ENGINE}::test_a_table_that_another_registers_meanwhile_is_no_trouble",
    ),
]
