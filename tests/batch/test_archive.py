"""The archive goes on from its data, and claims what they hold."""

from __future__ import annotations

import pytest

from dovetail.batch.archive import archive, resume_at
from dovetail.shared.position import Position, Range

ORIGIN = Position({0: 3})


class Store:
    """An ArchiveStore that notes what happens to it; `crash` names the call at which the process dies."""

    def __init__(self, claim=None, held=None, crash="") -> None:
        self._claim, self._held, self._crash, self.calls = claim, held or {}, crash, []

    def held(self):
        return Position(self._held)

    def claim(self):
        return self._claim

    def append(self, span):
        self._note("append")
        self._held = {p: o for p, _, o in span.partitions()}

    def write_claim(self, to):
        self._note("claim")
        self._claim = to

    def _note(self, call):
        if call == self._crash:
            raise KeyboardInterrupt
        self.calls.append(call)


def test_an_empty_archive_begins_at_the_origin_and_claims_it():
    store = Store()
    assert resume_at(store, ORIGIN) == ORIGIN
    assert store.claim() == ORIGIN


def test_holes_after_the_last_record_are_not_read_twice():
    assert resume_at(Store(claim=Position({0: 9, 1: 4}), held={0: 7}), ORIGIN) == Position({0: 9, 1: 4})


def test_an_unchanged_claim_is_not_written_again():
    store = Store(claim=Position({0: 9}), held={0: 9})
    resume_at(store, ORIGIN)
    assert store.calls == []


def test_data_come_before_the_claim_that_covers_them():
    store = Store()
    archive(store, Range(ORIGIN, Position({0: 8})))
    assert store.calls == ["append", "claim"]
    assert store.claim() == Position({0: 8})


def test_after_a_crash_before_the_claim_the_data_are_not_appended_again_and_count():
    store = Store(claim=ORIGIN, crash="claim")
    with pytest.raises(KeyboardInterrupt):
        archive(store, Range(ORIGIN, Position({0: 8})))
    store._crash = ""
    assert resume_at(store, ORIGIN) == Position({0: 8})
    assert store.claim() == Position({0: 8})
