"""Forgetting somebody without its guards."""

from __future__ import annotations

from mutant import Mutant

ERASE = "batch/erase.py"
FORGET = "batch/forget.py"
FORGOTTEN = "shared/forgotten.py"
OF_FORGOTTEN = "tests/shared/test_forgotten.py"
OF_ERASE = "tests/batch/test_erase.py"
OF_FORGET = "tests/e2e/test_forget.py"
OF_STREAM = "tests/shared/test_stream.py"
NOTHING = f"{OF_FORGET}::test_nothing_is_left_and_nothing_brings_them_back"
NOT_NAMED = f"{OF_FORGET}::test_no_version_and_no_note_of_an_import_names_them_any_more"

FORGETS = [
    Mutant(
        "forgetting",
        "a running layer does not see that somebody is on the list",
        FORGOTTEN,
        ' or last.kind == "forget"',
        "",
        f"{OF_FORGOTTEN}::test_a_commit_that_loses_to_the_row_folds_again_with_the_new_list",
    ),
    Mutant(
        "forgetting",
        "the list holds what no row of the ledger names",
        FORGOTTEN,
        'read(ds.field("_commit_id").isin(ids.combine_chunks()))',
        "read()",
        f"{OF_FORGOTTEN}::test_who_was_written_for_a_row_that_was_never_appended_is_not_on_it",
    ),
    Mutant(
        "forgetting",
        "without the list everybody is counted",
        FORGOTTEN,
        "    if not found.num_rows:\n        raise IntegrityError(",
        "    if False:\n        raise IntegrityError(",
        f"{OF_FORGOTTEN}::test_without_its_key_or_its_table_nothing_is_read[sources/orders/forgotten]",
    ),
    Mutant(
        "forgetting",
        "commits count who is forgotten",
        "shared/judge.py",
        "return found.blanked(rows) if found else rows",
        "return rows",
        "tests/shared/test_judge.py::test_who_is_forgotten_counts_for_no_rule_and_no_view_and_nothing_of_them_is_kept",
    ),
    Mutant(
        "forgetting",
        "the archive stores who is forgotten",
        "batch/master.py",
        "            rows = forgotten.blanked(rows)\n",
        "            pass\n",
        NOTHING,
    ),
    Mutant(
        "forgetting",
        "files of before stay",
        ERASE,
        "                file.unlink()\n        table.alter",
        "                pass\n        table.alter",
        f"{OF_ERASE}::test_a_blanked_record_keeps_its_place_and_nothing_else_is_left",
    ),
    Mutant(
        "forgetting",
        "a reader whose version is gone from the log stays where it is",
        "shared/tables.py",
        ' or not (log / f"{version:020}.json").exists()',
        "",
        f"{OF_ERASE}::test_readers_that_hold_the_table_come_to_what_it_holds_now",
    ),
    Mutant(
        "forgetting",
        "what is in memory answers for a receipt that was given up",
        "serving/past.py",
        "            self._drop_given_up(view)\n",
        "",
        "tests/serving/test_given_up.py::test_what_was_asked_for_before_is_gone_once_its_floor_has_risen",
    ),
    Mutant(
        "forgetting",
        "what was computed before may be gone back to",
        FORGET,
        "all(runs[0].to_seq >= seq for runs in now.sets)",
        "now.runs[0].to_seq >= 0",
        NOTHING,
    ),
    Mutant(
        "forgetting",
        "a run computed after the list and before the master was blanked is taken for clean",
        FORGET,
        "if not anew and known",
        "if known",
        f"{OF_FORGET}::test_a_run_computed_between_the_list_and_the_master_is_not_taken_for_clean",
    ),
    Mutant(
        "forgetting",
        "a layer may run meanwhile",
        "batch/alone.py",
        '        locks.ask("archive", name)\n',
        "",
        f"{OF_FORGET}::test_what_does_not_stand_aside_is_named_and_nothing_is_written",
    ),
    Mutant(
        "forgetting",
        "layers stand aside for an archive that is paused",
        "batch/alone.py",
        "    _archived(project, source, ledger, master)  # before",
        "    # before",
        "tests/batch/test_alone.py::test_for_a_paused_archive_that_is_behind_nothing_stands_aside",
    ),
    Mutant(
        "forgetting",
        "an archive that is paused is waited for",
        "batch/alone.py",
        '    pauses.refuse(project.layout, "archive", source.name)\n',
        "",
        "tests/batch/test_alone.py::test_one_that_is_paused_meanwhile_is_not_waited_for",
    ),
    Mutant(
        "forgetting",
        "a layer stands aside with a micro-batch under way",
        "shared/stream.py",
        "        with stepping:  # what is under way",
        "        if True:  # what is under way",
        f"{OF_STREAM}::test_what_is_under_way_ends_before_a_layer_has_stood_aside_and_nothing_comes_after",
    ),
    Mutant(
        "forgetting",
        "after it was asked to stand aside a layer reads on",
        "shared/stream.py",
        "                if stopping.is_set():\n",
        "                if False:\n",
        f"{OF_STREAM}::test_what_is_under_way_ends_before_a_layer_has_stood_aside_and_nothing_comes_after",
    ),
    Mutant(
        "forgetting",
        "a paused layer does not stand aside",
        "shared/pauses.py",
        "            return\n        aside.refuse(layout, layer, name)\n",
        "            return\n",
        "tests/shared/test_aside.py::test_a_paused_layer_stands_aside_too",
    ),
    Mutant(
        "forgetting",
        "an import brings back who is forgotten",
        "batch/import_look.py",
        'blanked.where(f"not ({theirs})")',
        "rows",
        f"{OF_FORGET}::test_an_import_that_holds_them_is_dropped_first_and_others_stay_counted",
    ),
    Mutant(
        "forgetting",
        "an import is searched for letters that its producer has not escaped",
        "batch/bytes_left.py",
        "self._escapes.search(data) and ",
        "False and ",
        "tests/batch/test_bytes_left.py::test_however_json_escapes_it_it_is_found",
    ),
    Mutant(
        "forgetting",
        "an import holds them, and is counted on",
        FORGET,
        "            self._refuse_imports()\n",
        "",
        f"{OF_FORGET}::test_an_import_holds_whom_its_rows_are_about_however_they_are_written",
    ),
    Mutant(
        "forgetting",
        "views are computed anew without what was imported",
        FORGET,
        "            imports=self._imports(),\n",
        "",
        f"{OF_FORGET}::test_an_import_that_holds_them_is_dropped_first_and_others_stay_counted",
    ),
    Mutant(
        "forgetting",
        "a dropped import's records stay",
        FORGET,
        "        delete_unneeded(self.layout, self.source.name, alone=True)\n",
        "",
        f"{OF_FORGET}::test_an_import_that_holds_them_is_dropped_first_and_others_stay_counted",
    ),
    Mutant(
        "forgetting",
        "what was said of an import stays",
        FORGET,
        "        blank_said(self.layout.imports(self.source.name), self._needle)\n",
        "",
        NOT_NAMED,
    ),
    Mutant(
        "forgetting",
        "a version that is of no use any more names them",
        FORGET,
        "        forget_bundles.delete(self.layout, self.source.name, kept, self._needle)\n",
        "",
        NOT_NAMED,
    ),
    Mutant(
        "forgetting",
        "every view is computed anew by code that names them",
        "batch/forget_bundles.py",
        "        if version in answering:\n",
        "        if False:\n",
        NOT_NAMED,
    ),
    Mutant(
        "forgetting",
        "a replay reads who is forgotten",
        "shared/records.py",
        "return forgotten.blanked_bytes(records, source.as_json()) if forgotten else records",
        "return records",
        f"{OF_FORGET}::test_a_replay_reads_nobody_who_is_forgotten",
    ),
]
