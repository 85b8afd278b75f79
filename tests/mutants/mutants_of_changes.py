"""Changes of a table, and signed rows, without their guards."""

from __future__ import annotations

from mutant import Mutant

SOURCE = "shared/changes.py"
SIGNED = "shared/measures/signed.py"
TEST = "tests/shared/test_changes.py"
REASONS = f"{TEST}::test_a_change_that_cannot_be_counted_gets_a_reason_that_names_the_fix"
POSTGRES = f"{TEST}::test_what_debezium_writes_of_postgres_gives_signed_rows"
LAWS = "tests/shared/test_measure_laws.py::test_signed_it_keeps_the_laws_and_equals_the_truth_of_what_is_left"
REFUSED = f"{TEST}::test_what_cannot_be_taken_back_is_refused_at_its_line_with_a_way_out"

CHANGES = [
    Mutant(
        "changes",
        "an update without a row before it only adds",
        SOURCE,
        """images = {"before": f"{e}.op in ('u', 'd')",""",
        """images = {"before": f"{e}.op in ('d')",""",
        REASONS,
    ),
    Mutant(
        "changes",
        "an update does not take its row back",
        SOURCE,
        'f"if({BEFORE} is not null, {row(',
        'f"if(false, {row(',
        POSTGRES,
    ),
    Mutant(
        "changes",
        "a delete is counted as an insert",
        SOURCE,
        "f\"if({OP} = 'd', -1, 1)\"",
        '"1"',
        POSTGRES,
    ),
    Mutant(
        "changes",
        "a tombstone is in quarantine",
        SOURCE,
        '("_value is null", TOMBSTONES.reason),',
        '("_value is null", "no value"),',
        REASONS,
    ),
    Mutant(
        "changes",
        "microseconds are read as seconds",
        SOURCE,
        "{'string' if _zoned(kind) else kind}",
        "{kind}",
        REASONS,
    ),
    Mutant(
        "changes",
        "changes of one row are repeats of each other",
        "shared/declare.py",
        "(*ids, CHANGE) if ids else ()",
        "ids",
        f"{TEST}::test_a_change_is_named_by_the_key_and_its_place_in_the_databases_log",
    ),
    Mutant(
        "changes",
        "a rule takes a change out",
        SOURCE,
        'if rule.otherwise in ("drop", "quarantine"):',
        "if False:",
        f"{TEST}::test_no_rule_takes_a_change_out[drop]",
    ),
    Mutant(
        "changes",
        "a minimum holds what was taken back",
        SIGNED,
        "            if not signable(measure):\n                raise DeclarationError(",
        "            if False:\n                raise DeclarationError(",
        f"{REFUSED}[min]",
    ),
    Mutant(
        "changes",
        "a sign of 2 counts nothing, and nobody hears of it",
        SIGNED,
        "ELSE raise_error('{NO_SIGN}') END",
        "ELSE false END",
        "tests/shared/test_measure_laws.py::test_a_sign_that_is_none_raises[2]",
    ),
    Mutant(
        "changes",
        "a variance is of what was given",
        "shared/measures/moments.py",
        "total, square = total - total_back, square - square_back",
        "total, square = total, square",
        f"{LAWS}[variance of decimal]",
    ),
]
