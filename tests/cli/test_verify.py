"""What is said of a verified change: what differs, and the command that follows."""

from __future__ import annotations

from dataclasses import replace

from dovetail.batch.verify import Verified
from dovetail.cli.verify import lines
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import RunId

EQUAL = Verified(VersionId("sales@0a11"), VersionId("sales@0b22"), 7, (RunId("one"),), 1.0, 1204, 1204)


def test_what_is_equal_may_be_relabelled() -> None:
    assert [*lines("sales", EQUAL)] == [
        "sales: 1,204 of 1,204 groups up to seq 7 are equal by sales@0a11 and sales@0b22",
        "      next: dovetail reprocess sales --relabel, which computes none of them",
    ]


def test_a_sample_offers_to_verify_the_rest() -> None:
    assert [*lines("sales", replace(EQUAL, sample=0.01))] == [
        "sales: 1,204 of 1,204 groups of 0.01 of all keys up to seq 7 are equal by sales@0a11 and sales@0b22",
        "      next: dovetail plan sales --verify: what a sample says lets nothing be relabelled",
    ]


def test_what_differs_is_named_and_nothing_is_offered() -> None:
    found = replace(EQUAL, equal=1203, differing=("sales[FR]: revenue; 3 rows before, 3 after",))
    assert [*lines("sales", found)] == [
        "sales: 1,203 of 1,204 groups up to seq 7 are equal by sales@0a11 and sales@0b22",
        "      sales[FR]: revenue; 3 rows before, 3 after",
    ]
