"""Which records repeat one that was counted: against a plain reading of the rule, through restarts and losses."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

import dovetail as dv
from dovetail.shared import log_clock, seen
from dovetail.shared.ledger import Books, LedgerRow, new_commit_id
from dovetail.shared.position import Position, Range
from dovetail.shared.repeats import Candidates, Deduplicator
from dovetail.shared.seen import Entries, Seen

HORIZON_MS = 50


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    timestamp: int
    id: int
    bytes: int = 0

    @property
    def place(self) -> tuple[int, int]:
        return self.partition, self.offset


class Log:
    """Records in commits, and the ledger that says which were repeats."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.records = folder, list[Record]()
        self.ledger = [LedgerRow(0, 0, "open", Range(Position(), Position()), {}, "topic")]
        self.repeats = set[tuple[int, int]]()
        self.superseded = set[tuple[int, int]]()
        self.start()

    def start(self, *, horizon: int = HORIZON_MS, event_id: str = "id") -> None:
        """Another process takes over."""
        source = dv.source("s", schema="id int, other int", event_id=event_id, dedup_horizon=f"{horizon} ms")
        self.job = Deduplicator(self.folder, source, self, self._counted)

    def commit(self, records: Sequence[Record], *, learnt: bool = True) -> LedgerRow:
        decided = self.job.decide(candidates(records))
        self.repeats |= {*zip(*(decided.places[c].to_pylist() for c in decided.places.column_names), strict=True)}
        begin = self.ledger[-1].to
        ends = {
            p: max(r.offset for r in of) + 1 for p, of in groupby(sorted(records, key=place), lambda r: r.partition)
        }
        n, again, seq = len(records), len(decided), len(self.ledger)
        row = LedgerRow(
            seq, 0, "commit", Range(begin, Position({**begin, **ends})), {}, "topic", new_commit_id(),
            Books(n, n, repeats=again, offered=n - again), max(r.timestamp for r in records), broken=decided.broken,
        )  # fmt: skip
        self.ledger.append(row)
        self.records += records
        if learnt:
            self.job.learn(row)
        return row

    def supersede(self, record: Record, *, decoder: str) -> None:
        """A resend takes a record out that was in quarantine as `decoder` read it."""
        last = self.ledger[-1]
        self.superseded.add(record.place)
        self.ledger.append(
            LedgerRow(len(self.ledger), 0, "supersede", Range(last.to, last.to), {}, "topic", decoder=decoder)
        )

    def last(self) -> LedgerRow | None:
        return self.ledger[-1]

    def rows(self, after: int = -1) -> list[LedgerRow]:
        return self.ledger[after + 1 :]

    def append(self, row: LedgerRow) -> None:
        raise NotImplementedError

    def _counted(self, rows: Sequence[LedgerRow]) -> Candidates:
        span = Range(rows[0].range.from_, rows[-1].to)
        gone = self.repeats | self.superseded
        return candidates([r for r in self.records if span.includes(*r.place) and r.place not in gone])


def place(record: Record) -> tuple[int, int]:
    return record.place


def candidates(records: Sequence[Record]) -> Candidates:
    def column(name: str, kind: type = np.int64) -> np.ndarray:
        return np.array([getattr(r, name) for r in records], kind)

    # Few first halves, so that ids must be told apart by their second.
    high, low = column("id", np.uint64) % 5, column("id", np.uint64)
    entries = Entries(high, low, column("bytes"), column("timestamp"), np.zeros(len(records), np.int64))
    return Candidates(column("partition", np.int32), column("offset"), entries)


def plain(commits: Sequence[Sequence[Record]], horizon: int) -> set[tuple[int, int]]:
    """The rule as one would say it: what lies within the horizon of a counted one is a repeat, if not long ago."""
    counted, repeats = list[tuple[Record, int]](), set[tuple[int, int]]()
    newest, stood = list[int](), list[int]()
    for n, records in enumerate(commits):
        lately = log_clock.LATELY - 1
        long_ago = stood[-1] - 2 * horizon - log_clock.AHEAD_MS if stood else 0
        for r in sorted(records, key=lambda r: (r.timestamp, r.place)):
            if any(
                c.id == r.id
                and abs(c.timestamp - r.timestamp) <= horizon
                and (k + lately >= n or stood[k + lately] >= long_ago)
                for c, k in counted
            ):
                repeats.add(r.place)
            else:
                counted.append((r, n))
        newest.append(max(r.timestamp for r in records))
        last = sorted(newest[-lately - 1 :])
        stood.append(max([0, *stood[-1:], last[lately // 2]]) if n >= lately else 0)
    return repeats


def history(seed: int, commits: int, *, ids: int = 40) -> list[list[Record]]:
    """Commits over three partitions: timestamps rise and jitter, some far behind and a few ahead."""
    r = random.Random(seed)
    ends, now, made = [0, 0, 0], 1_000_000, []
    for _ in range(commits):
        records = []
        for _ in range(r.randrange(1, 30)):
            now += r.choice([0, 0, 1, 2])
            p = r.randrange(3)
            at = now + r.choice([0, 0, 0, -20, -HORIZON_MS, -HORIZON_MS - 1, -300, 5])
            records.append(Record(p, ends[p], at, r.randrange(ids), r.choice([0, 0, 1])))
            ends[p] += r.choice([1, 1, 2])
        r.shuffle(records)
        made.append(records)
    return made


@pytest.fixture
def soon_forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_clock, "LATELY", 4)
    monkeypatch.setattr(log_clock, "AHEAD_MS", 10)


@pytest.mark.usefixtures("soon_forgetting")
@pytest.mark.parametrize("seed", range(20))
def test_it_decides_as_the_rule_says_whatever_happens_to_processes_and_files(seed: int, tmp_path: Path) -> None:
    log, r, commits = Log(tmp_path), random.Random(seed), history(seed, 60)
    for records in commits:
        log.commit(records, learnt=r.random() < 0.9)
        if r.random() < 0.3:
            log.start()
        if r.random() < 0.2:
            damage(r, log.folder)
            log.start()
    assert log.repeats == plain(commits, HORIZON_MS)
    assert 0.1 < len(log.repeats) / len(log.records) < 0.9


def damage(r: random.Random, folder: Path) -> None:
    files = sorted(folder.glob("*/*.arrow"))
    if not files:
        return
    match r.choice(["tear", "flip", "lose one", "lose all", "leave scratch"]):
        case "tear":
            file = r.choice(files)
            file.write_bytes(file.read_bytes()[: r.randrange(file.stat().st_size)])
        case "flip":
            file = r.choice(files)
            content = bytearray(file.read_bytes())
            content[r.randrange(len(content))] ^= 1 << r.randrange(8)
            file.write_bytes(content)
        case "lose one":
            r.choice(files).unlink()
        case "lose all":
            shutil.rmtree(folder)
        case "leave scratch":
            files[-1].with_suffix(".part").write_bytes(b"half")


@pytest.mark.usefixtures("soon_forgetting")
def test_an_index_made_again_equals_the_one_that_was_kept(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for records in history(7, 100):
        log.commit(records)
    kept = alive(log)
    shutil.rmtree(log.folder)
    log.start()
    log.job.decide(candidates([]))
    assert alive(log) == kept


def alive(log: Log) -> list[tuple[int, ...]]:
    (folder,) = log.folder.iterdir()
    clock = log_clock.LogClock(HORIZON_MS)
    for row in log.ledger:
        clock.passed(row)
    entries = [e for f in Seen(folder)._files for e in zip(*(c.tolist() for c in f.entries.columns), strict=True)]
    return sorted(e for e in entries if e[-1] >= clock.since)


@pytest.mark.usefixtures("soon_forgetting")
@pytest.mark.parametrize("largest", [40, seen.LARGEST])
def test_the_index_is_bounded_by_the_horizon(largest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "LARGEST", largest)
    log, sizes = Log(tmp_path), list[int]()
    for i in range(400):
        log.commit([Record(0, 10 * i + k, 10 * i + k, 10 * i + k) for k in range(10)])
        (folder,) = log.folder.iterdir()
        sizes.append(len(Seen(folder)))
    assert max(sizes) < 6 * 2 * HORIZON_MS


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("commits", [1, log_clock.LATELY // 2 - 1], ids=["once", "again and again"])
def test_a_record_from_a_year_ahead_makes_nothing_forgotten(restarted: bool, commits: int, tmp_path: Path) -> None:
    log, year = Log(tmp_path), 365 * 24 * 3_600_000
    for n in range(40):
        log.commit([Record(0, n, 1_000_000 + n, n)])
    for n in range(commits):
        log.commit([Record(1, n, 1_000_000 + year + n, 1000 + n)])
    if restarted:
        log.start()
    assert log.commit([Record(0, 40, 1_000_040, 0)]).books.repeats == 1


def test_a_night_without_records_makes_nothing_forgotten(tmp_path: Path) -> None:
    log, morning = Log(tmp_path), 1_000_000 + 8 * 3_600_000
    for n in range(2 * log_clock.LATELY):
        log.commit([Record(0, n, 1_000_000 + n, n)])
    for n in range(2 * log_clock.LATELY):
        log.commit([Record(1, n, morning + n, 1000 + n)])
        assert log.commit([Record(2, n, morning + n, 1000)]).books.repeats == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_producer_that_is_ahead_by_less_than_an_hour_for_good_makes_nothing_forgotten(
    restarted: bool, tmp_path: Path
) -> None:
    log, ahead = Log(tmp_path), 59 * 60_000
    for n in range(40):
        log.commit([Record(0, n, 1_000_000 + n, n)])
    for n in range(3 * log_clock.LATELY):
        log.commit([Record(1, n, 1_000_000 + ahead + n, 1000 + n)])
    if restarted:
        log.start()
    assert log.commit([Record(0, 40, 1_000_040, 0)]).books.repeats == 1


def test_another_horizon_or_id_makes_the_index_anew(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.commit([Record(0, 0, 1000, 1)])
    log.commit([Record(0, 1, 1200, 2)])
    log.start(horizon=500)
    assert log.commit([Record(0, 2, 1300, 1)]).books.repeats == 1
    assert len([*log.folder.iterdir()]) == 1


def test_another_id_makes_the_index_anew(tmp_path: Path) -> None:
    log, read = Log(tmp_path), list[int]()
    log.commit([Record(0, 0, 1000, 1)])
    log.start(event_id="other")
    counted = log.job._counted

    def again(rows: Sequence[LedgerRow]) -> Candidates:
        read.extend(row.seq for row in rows)
        return counted(rows)

    log.job._counted = again
    log.commit([Record(0, 1, 1001, 2)])
    assert read == [1]


def test_a_ledger_made_anew_is_told_from_the_one_the_index_is_of(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.commit([Record(0, 0, 1000, 1)])
    other = Log(tmp_path)
    assert other.commit([Record(0, 0, 1001, 1)]).books.repeats == 0


def test_repeats_of_other_bytes_are_counted_apart(tmp_path: Path) -> None:
    log = Log(tmp_path)
    row = log.commit([Record(0, 0, 1000, 1, bytes=1), Record(0, 1, 1000, 1, bytes=1), Record(1, 0, 1000, 1, bytes=2)])
    assert row.books.repeats == 2
    assert row.broken == {("a repeat has the bytes of the first", "warn"): 1}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_record_that_was_superseded_is_repeated_by_none(restarted: bool, tmp_path: Path) -> None:
    """In quarantine when it came, it decodes well by now: so it is in an index that was made since."""
    log, record = Log(tmp_path), Record(0, 0, 1000, 1)
    log.commit([record])
    log.commit([Record(0, 1, 1001, 2)])
    log.supersede(record, decoder="as it was read then")
    if restarted:
        log.start()
    row = log.commit([Record(0, 2, 1002, 1), Record(0, 3, 1003, 2)])
    assert (row.books.repeats, log.repeats) == (1, {(0, 3)})


def test_what_is_decoded_as_it_was_then_leaves_the_index_as_it_is(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.commit([Record(0, 0, 1000, 1)])
    log.supersede(Record(0, 9, 1000, 9), decoder=log.job._decoder_id)
    log.job._counted = None  # nothing is read again
    assert log.commit([Record(0, 1, 1002, 1)]).books.repeats == 1
