"""Guards of the commands that a project has called: that they are, and that they change nothing."""

from __future__ import annotations

from mutant import Mutant

HOOKS, OF_HOOKS, OF_VERBS = "shared/hooks.py", "tests/shared/test_hooks.py", "tests/cli/test_hooks.py"

CALLED = [
    Mutant(
        "hooks",
        "a hook that is not there ends the job",
        HOOKS,
        "    except OSError as error:\n",
        "    except ZeroDivisionError as error:\n",
        f"{OF_HOOKS}::test_so_is_one_that_is_not_there",
    ),
    Mutant(
        "hooks",
        "a hook that fails is not told",
        HOOKS,
        "    if why:\n",
        "    if False:\n",
        f"{OF_HOOKS}::test_one_that_fails_is_a_warning",
    ),
    Mutant(
        "hooks",
        "a hook takes as long as it likes",
        HOOKS,
        "timeout=seconds)",
        "timeout=None)",
        f"{OF_HOOKS}::test_one_that_takes_too_long_is_ended_with_all_that_it_has_started",
    ),
    Mutant(
        "hooks",
        "what a hook has started runs on",
        HOOKS,
        "            os.killpg(process.pid, signal.SIGKILL)\n",
        "            process.kill()\n",
        f"{OF_HOOKS}::test_one_that_takes_too_long_is_ended_with_all_that_it_has_started",
    ),
    Mutant(
        "hooks",
        "a hook is told a secret",
        HOOKS,
        "{name: redacted(text) for",
        "{name: text for",
        f"{OF_HOOKS}::test_what_fails_is_told_and_raised_with_the_view_it_was_at_and_without_secrets",
    ),
    Mutant(
        "hooks",
        "what fails is swallowed",
        HOOKS,
        "        at.failed(error)\n        raise\n",
        "        at.failed(error)\n",
        f"{OF_HOOKS}::test_what_fails_is_told_and_raised_with_the_view_it_was_at_and_without_secrets",
    ),
    Mutant(
        "hooks",
        "a batch that fails is not told",
        HOOKS,
        "        at.failed(error)\n        raise\n",
        "        raise\n",
        f"{OF_VERBS}::test_a_batch_that_cannot_begin_is_told",
    ),
    Mutant(
        "hooks",
        "a promotion is told while its lock is held",
        "batch/job.py",
        "after.callback(hooks.promoted, project.settings, before, promoted,",
        "hooks.promoted(project.settings, before, promoted,",
        "tests/batch/test_job.py::test_a_promotion_is_told_once_the_lock_is_free_whatever_comes_of_the_tidying",
    ),
    Mutant(
        "hooks",
        "a batch that had nothing new is told as a promotion",
        "batch/job.py",
        "        if promoted:  # told",
        "        if True:  # told",
        "tests/batch/test_job.py::test_where_nothing_is_promoted_nothing_is_told",
    ),
    Mutant(
        "hooks",
        "a rollback is not told",
        "batch/change.py",
        '    hooks.promoted(project.settings, started, now, by="rollback" if back else "promote")\n',
        "",
        "tests/batch/test_change.py::test_what_came_to_answer_by_a_person_is_told",
    ),
    Mutant(
        "hooks",
        "a closed gate of a batch is not told",
        "dovetail/cli/run.py",
        "                at.failed(error)\n",
        "",
        f"{OF_VERBS}::test_a_closed_gate_is_told_of_its_view_and_the_next_is_computed",
    ),
    Mutant(
        "hooks",
        "a closed gate is told though it was only asked",
        "dovetail/cli/change.py",
        "with nullcontext() if dry_run else watched(",
        "with watched(",
        f"{OF_VERBS}::test_a_gate_that_holds_back_a_promote_is_told_unless_it_was_only_asked",
    ),
    Mutant(
        "hooks",
        "what a hook runs is ended with its stdin",
        "dovetail/cli/stack.py",
        "os.environ.pop(STOP_WITH_PARENT, None)",
        "os.environ.get(STOP_WITH_PARENT)",
        f"{OF_VERBS}::test_a_command_that_dev_runs_lets_its_hooks_run_dovetail",
    ),
]
