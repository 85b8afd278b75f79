"""Trino's views without their guards."""

from __future__ import annotations

from mutant import Mutant

STATEMENT = "shared/trino/statement.py"
SERVER = "tests/trino/test_trino.py"
UNIT = "tests/shared/test_trino.py"

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
]
