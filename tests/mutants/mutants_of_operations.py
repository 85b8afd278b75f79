"""What an operator asks for, and what is cleaned, without its guards."""

from __future__ import annotations

from mutant import Mutant

OF_PAUSES = "tests/shared/test_pauses.py"
OF_STREAM = "tests/shared/test_stream.py"

OF_LOCKS = "tests/shared/test_locks.py"
OF_CLEAN = "tests/batch/test_clean.py"
CLEAN, ORPHANS = "batch/clean.py", "batch/orphans.py"
OF_EARLIER = "tests/batch/test_clean_versions.py"

OPERATIONS = [
    Mutant(
        "operations",
        "a paused stream reads its next micro-batch",
        "shared/stream.py",
        "halted = halted or not may_go_on(stopping)",
        "halted = False",
        f"{OF_STREAM}::test_each_micro_batch_is_held_up_before_it_is_read",
    ),
    Mutant(
        "operations",
        "a micro-batch after one that was left out is read",
        "shared/stream.py",
        "halted = halted or not may_go_on(stopping)",
        "halted = not may_go_on(stopping)",
        f"{OF_STREAM}::test_after_a_stop_while_it_was_held_up_no_micro_batch_is_read",
    ),
    Mutant(
        "operations",
        "speed that is paused starts all the same",
        "speed/job.py",
        "        go_on()\n",
        "",
        "tests/speed/test_job.py::test_a_paused_start_waits_before_it_opens_anything",
    ),
    Mutant(
        "operations",
        "a running speed job is not told of a pause",
        "speed/job.py",
        "                may_go_on=go_on,\n",
        "",
        "tests/e2e/test_pause.py::test_a_paused_job_stays_up_reads_nothing_and_goes_on_where_it_stood[speed]",
    ),
    Mutant(
        "operations",
        "speed that is paused goes on taking from the archive",
        "speed/catch_up.py",
        "        go_on()\n",
        "",
        "tests/speed/test_catch_up.py::test_each_piece_is_held_up_before_it_is_read",
    ),
    Mutant(
        "operations",
        "an archive that is paused starts all the same",
        "batch/archive_job.py",
        "        go_on()\n",
        "",
        "tests/batch/test_job.py::test_a_paused_start_of_the_archive_waits_before_it_opens_anything",
    ),
    Mutant(
        "operations",
        "a running archive is not told of a pause",
        "batch/archive_job.py",
        "                may_go_on=go_on,\n",
        "",
        "tests/e2e/test_pause.py::test_a_paused_job_stays_up_reads_nothing_and_goes_on_where_it_stood[archive]",
    ),
    Mutant(
        "operations",
        "a paused batch runs",
        "batch/job.py",
        '    pauses.refuse(layout, "batch", view.name)\n',
        "",
        "tests/batch/test_job.py::test_a_paused_batch_of_a_view_is_refused",
    ),
    Mutant(
        "operations",
        "batch commits in the place of a paused speed job",
        "batch/job.py",
        '    if pauses.paused(project.layout, "speed", source.name):\n        return',
        "    if False:\n        return",
        "tests/batch/test_job.py::test_batch_commits_nothing_in_the_place_of_a_paused_speed_job",
    ),
    Mutant(
        "operations",
        "a torn note pauses nothing",
        "shared/pauses.py",
        "    except (OSError, ValueError, TypeError):\n        return Pause(layer, name)\n",
        "    except (OSError, ValueError, TypeError):\n        return None\n",
        f"{OF_PAUSES}::test_a_note_that_cannot_be_read_pauses_all_the_same",
    ),
    Mutant(
        "operations",
        "a clean does not fence who may yet publish what it deletes",
        ORPHANS,
        '    open_epoch(ledger, note="clean")\n',
        "",
        f"{OF_CLEAN}::test_a_writer_that_wakes_up_after_the_clean_is_fenced",
    ),
    Mutant(
        "operations",
        "what is being written is taken for dead",
        ORPHANS,
        "    if through is not None:\n",
        "    if False:\n",
        f"{OF_CLEAN}::test_what_comes_after_the_fence_is_not_taken_for_dead",
    ),
    Mutant(
        "operations",
        "a clean deletes what a running layer writes",
        CLEAN,
        "locks.enter_context(held(path, name))",
        "pass",
        f"{OF_CLEAN}::test_what_a_running_layer_writes_is_left_and_said",
    ),
    Mutant(
        "operations",
        "a dry run takes no notice of running layers",
        CLEAN,
        "if self.dry_run and is_held(path):",
        "if False:",
        f"{OF_CLEAN}::test_what_a_running_layer_writes_is_left_and_said",
    ),
    Mutant(
        "operations",
        "the pin of a killed batch keeps its run for good",
        CLEAN,
        "                promote.drop_pins(manifests)\n",
        "                pass\n",
        f"{OF_CLEAN}::test_run_tables_that_nothing_names_are_deleted_and_no_other",
    ),
    Mutant(
        "7",
        "a clean deletes states that the manifest has not given up",
        CLEAN,
        "            manifest = promote.give_up(manifests, old, last.seq)\n",
        "            manifest = manifests.read()\n",
        f"{OF_EARLIER}::test_those_that_nothing_needs_go_after_the_manifest_gave_them_up",
    ),
    Mutant(
        "7",
        "a clean gives up what answers, or may be gone back to",
        "shared/manifest.py",
        "for v in versions if v not in needed(old)}",
        "for v in versions}",
        f"{OF_EARLIER}::test_one_that_is_pinned_meanwhile_is_not_given_up",
    ),
    Mutant(
        "operations",
        "a clean takes what may be gone back to",
        CLEAN,
        "if v not in last.versions and v not in needed(manifest)]",
        "if v not in last.versions]",
        f"{OF_EARLIER}::test_those_that_are_in_force_answer_or_may_be_gone_back_to_stay",
    ),
    Mutant(
        "operations",
        "a clean takes states of a version in force",
        CLEAN,
        "if v not in last.versions and v not in needed(manifest)]",
        "if v not in needed(manifest)]",
        f"{OF_EARLIER}::test_those_that_are_in_force_answer_or_may_be_gone_back_to_stay",
    ),
    Mutant(
        "operations",
        "a clean deletes the only copies of what nobody holds",
        CLEAN,
        "keep=[row.commit_id for row in only])",
        "keep=())",
        f"{OF_EARLIER}::test_the_only_copies_of_what_nobody_holds_stay",
    ),
    Mutant(
        "16",
        "a lock that is held is taken for a dead one's",
        "shared/locks.py",
        "    if before and before.held:\n",
        "    if False:\n",
        f"{OF_LOCKS}::test_who_holds_a_lock_is_told_and_it_is_never_broken",
    ),
    Mutant(
        "operations",
        "who held a lock last is told as who holds it",
        "shared/locks.py",
        "if (found := owner(path)) and found.held]",
        "if (found := owner(path))]",
        f"{OF_LOCKS}::test_who_holds_a_lock_is_told_and_it_is_never_broken",
    ),
]
