"""Imports of old history without their guards."""

from __future__ import annotations

from mutant import Mutant

FILES = "tests/batch/test_import_files.py"
OF_IMPORTS = "tests/shared/test_imports.py"
WHOLE = "tests/e2e/test_import.py"

IMPORTS = [
    Mutant(
        "imports",
        "an incremental run takes one in",
        "batch/recompute.py",
        "() if joins else tuple(imports)",
        "tuple(imports)",
        "tests/batch/test_recompute.py::test_only_a_run_from_the_beginning_takes_in_imports_and_those_that_join_it_keep_them",
    ),
    Mutant(
        "imports",
        "a run above them holds some",
        "shared/manifest.py",
        "if run.imports and run.from_seq >= 0:",
        "if False:",
        f"{OF_IMPORTS}::test_only_a_run_from_the_beginning_has_imports",
    ),
    Mutant(
        "imports",
        "a dropped one is taken in",
        "shared/imports.py",
        "if each.dropped is None)",
        "if True)",
        f"{OF_IMPORTS}::test_an_import_is_there_once_it_is_named_and_goes_when_it_is_dropped",
    ),
    Mutant(
        "imports",
        "of two that write at once both land",
        "shared/imports.py",
        'lambda: self._table.largest("n") == n',
        "lambda: True",
        f"{OF_IMPORTS}::test_of_two_that_write_at_once_one_is_refused",
    ),
    Mutant(
        "imports",
        "records of a dropped one go while an answer holds them",
        "batch/import_drop.py",
        "if each.dropped is None or each.id in named",
        "if each.dropped is None",
        f"{OF_IMPORTS}::test_records_go_once_no_import_names_them_and_no_run_holds_them",
    ),
    Mutant(
        "imports",
        "records go while a batch may have begun with them",
        "batch/import_drop.py",
        "if not alone and any(is_held(",
        "if False and any(is_held(",
        f"{OF_IMPORTS}::test_none_go_while_a_batch_may_have_begun_with_them",
    ),
    Mutant(
        "imports",
        "a file that changes while it is read is taken",
        "batch/imports.py",
        "if part.stamp != before:",
        "if False:",
        f"{FILES}::test_a_file_that_changes_while_it_is_read_is_refused",
    ),
    Mutant(
        "imports",
        "the same bytes twice are taken",
        "batch/imports.py",
        "if f.sha256 == digest and count]",
        "if False]",
        f"{FILES}::test_the_same_bytes_twice_are_refused",
    ),
    Mutant(
        "imports",
        "a repeat counts",
        "batch/imported.py",
        "return rows.where(~_repeats(ids)).select(*META)",
        "return rows.select(*META)",
        f"{WHOLE}::test_between_imports_an_event_counts_once_also_when_one_is_dropped",
    ),
    Mutant(
        "imports",
        "overlap with the log is let through",
        "batch/imports.py",
        'if wanted.overlap == "refuse" and found.overlapping:',
        "if False:",
        f"{WHOLE}::test_overlap_with_the_log_is_found_before_anything_is_written",
    ),
    Mutant(
        "imports",
        "the proof does not look at what was imported",
        "batch/prove.py",
        "if (records, digest) != (each.records, each.digest):",
        "if False:",
        f"{WHOLE}::test_the_proof_sees_an_import_that_is_not_what_was_imported",
    ),
    Mutant(
        "imports",
        "receipts do not name them",
        "serving/edition.py",
        "if (imports := self.manifest.imports) else {}",
        "if (imports := ()) else {}",
        "tests/serving/test_merge.py::test_receipts_name_the_imports_that_are_in_the_answer",
    ),
    Mutant(
        "imports",
        "what speed counted and nobody holds is compared with nothing",
        "batch/import_overlap.py",
        "    if not where:\n        _refuse_unknown(source, layout, extent)\n",
        "",
        "tests/batch/test_import_overlap.py::test_what_speed_counted_and_nobody_holds_can_be_compared_with_nothing",
    ),
]
