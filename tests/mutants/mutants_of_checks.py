"""What a check holds a declaration to, without its guards."""

from __future__ import annotations

from mutant import Mutant

DRIFT = "shared/drift.py"
FIT = "shared/fit.py"
VERDICTS = "shared/verdicts.py"
OF_DRIFT = "tests/shared/test_drift.py"
OF_TOPIC = "tests/e2e/test_against_topic.py"
LIVE = f"{OF_TOPIC}::test_what_the_live_version_counts_and_the_declaration_would_not_is_told_and_the_reverse"

CHECKS = [
    Mutant(
        "a check",
        "as many records in quarantine as there are is no problem",
        VERDICTS,
        "n > self.limit * len(self.records)",
        "False",
        f"{OF_TOPIC}::test_no_more_than_the_share_that_status_warns_of_is_no_problem",
    ),
    Mutant(
        "a check",
        "a column whose every value clashes is no problem where few records hold it",
        VERDICTS,
        '"fail" if always else level',
        "level",
        f"{OF_TOPIC}::test_a_column_whose_every_value_clashes_is_a_problem_however_few_hold_it",
    ),
    Mutant(
        "a check",
        "a rule that would stop the job is no problem",
        VERDICTS,
        '"fail" if rule.otherwise == "fail" else "note"',
        '"note"',
        f"{OF_TOPIC}::test_the_share_of_records_that_break_a_rule_is_told",
    ),
    Mutant(
        "a check",
        "what the live version counts is not looked at",
        FIT,
        "            found += verdicts.against(names, decoder)\n",
        "            pass\n",
        LIVE,
    ),
    Mutant(
        "a check",
        "what would be counted that is not counted now is not told",
        VERDICTS,
        "if then and not now",
        "if False",
        LIVE,
    ),
    Mutant(
        "a check",
        "holes in the log end the look for its newest records",
        "shared/sample.py",
        "        if not few:\n",
        "        if True:\n",
        f"{OF_TOPIC}::test_the_newest_are_looked_at_over_all_partitions_and_beyond_holes",
    ),
    Mutant(
        "a check",
        "of a partition that was looked at farther back more than its share is taken",
        "shared/sample.py",
        "found[p][-n:][0]",
        "found[p][0]",
        f"{OF_TOPIC}::test_the_newest_are_looked_at_over_all_partitions_and_beyond_holes",
    ),
    Mutant(
        "a check",
        "an engine is started for a topic that is not there",
        FIT,
        "    extents = [(source, log.extent(source.topic)) for source in report.sound_sources]\n",
        "    engine()\n    extents = [(source, log.extent(source.topic)) for source in report.sound_sources]\n",
        f"{OF_TOPIC}::test_a_topic_that_is_not_there_is_exit_3",
    ),
    Mutant(
        "a check",
        "a field that stands beside a column is called its new name",
        DRIFT,
        "not before & other.held and ",
        "",
        f"{OF_DRIFT}::test_what_is_no_renamed_column_is_not_called_one",
    ),
    Mutant(
        "a check",
        "a field that only some records hold is called a column's new name",
        DRIFT,
        "and len(before) + len(other.held) == fields.records",
        "",
        f"{OF_DRIFT}::test_what_is_no_renamed_column_is_not_called_one",
    ),
    Mutant(
        "a check",
        "a field of another type is called a column's new name",
        DRIFT,
        " and _family(other.type) in _families(kind)",
        "",
        f"{OF_DRIFT}::test_what_is_no_renamed_column_is_not_called_one",
    ),
    Mutant(
        "a check",
        "a field that some records before lack is said to have ceased",
        DRIFT,
        " and len(after) + len(found.held) == fields.records",
        "",
        f"{OF_DRIFT}::test_a_column_that_ceases_in_mid_stream_is_told_from_where_on",
    ),
    Mutant(
        "a check",
        "the name of a field reaches the terminal as it is",
        DRIFT,
        "n, name = len(found.held), inert(found.name)",
        "n, name = len(found.held), found.name",
        f"{OF_DRIFT}::test_no_name_of_a_field_reaches_a_terminal_as_it_is",
    ),
]
