"""How Spark's JVM starts without its guards."""

from __future__ import annotations

from mutant import Mutant

CLASSES, ENGINE = "shared/class_archive.py", "shared/engine.py"
OF_CLASSES, OF_ENGINE = "tests/shared/test_class_archive.py", "tests/shared/test_engine.py"

STARTS = [
    Mutant(
        "operations",
        "a JVM that cannot say where it listens is waited for as long as it lives",
        ENGINE,
        "                os.killpg(child.pid, signal.SIGKILL)\n",
        "                pass\n",
        f"{OF_ENGINE}::test_a_jvm_that_never_says_where_it_listens_is_ended",
    ),
    Mutant(
        "class archive",
        "an archive that was cut short is used",
        CLASSES,
        "                if found.name == _name(self.key, found):\n",
        "                if found.is_file():\n",
        f"{OF_CLASSES}::test_java_maps_the_classes_of_one_it_made_and_goes_without_a_broken_one",
    ),
    Mutant(
        "class archive",
        "an archive stays when a jar is another",
        CLASSES,
        'f"{entry} {state.st_size} {state.st_mtime_ns}"',
        'f"{entry}"',
        f"{OF_CLASSES}::test_the_name_hangs_on_java_the_jars_their_order_and_the_list_of_classes",
    ),
    Mutant(
        "class archive",
        "what Java refuses is taken for an archive",
        CLASSES,
        "if code == 0 and draft.is_file():",
        "if draft.is_file():",
        f"{OF_CLASSES}::test_what_java_refuses_leaves_nothing_and_is_not_tried_again_for_a_day",
    ),
    Mutant(
        "class archive",
        "two processes make one archive",
        CLASSES,
        "if not mine or not self.wanted():",
        "if not self.wanted():",
        f"{OF_CLASSES}::test_of_two_at_once_one_makes_it_and_the_other_does_not_wait",
    ),
    Mutant(
        "class archive",
        "the maker outlives who started it",
        CLASSES,
        "{ read -r _ <&3; kill -9 $java; } & watch=$!",
        "sleep 1 & watch=$!",
        f"{OF_CLASSES}::test_of_a_process_that_is_killed_meanwhile_no_java_and_no_half_archive_is_left",
    ),
    Mutant(
        "class archive",
        "a JVM that does not start with its archive is given up",
        ENGINE,
        "        if archive is None or not options:\n            raise\n",
        "        if archive is None or options:\n            raise\n",
        f"{OF_ENGINE}::test_a_jvm_that_does_not_start_with_the_archive_starts_without_it_and_it_goes",
    ),
    Mutant(
        "class archive",
        "one JVM that is killed as it starts costs all others their archive",
        CLASSES,
        "            if not self._doubt.exists():",
        "            if False:",
        f"{OF_ENGINE}::test_jvms_that_are_killed_now_and_then_as_they_start_leave_the_archive_alone",
    ),
]
