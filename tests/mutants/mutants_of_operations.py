"""What an operator asks for, and what is cleaned, without its guards."""

from __future__ import annotations

from mutant import Mutant

OF_PAUSES = "tests/shared/test_pauses.py"
OF_STREAM = "tests/shared/test_stream.py"

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
]
