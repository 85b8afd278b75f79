"""`dovetail status`: what is wrong first, each with its command; and nothing made by asking."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname

import pyarrow as pa
import pytest

from dovetail.cli import ask
from dovetail.shared import manifest as rules
from dovetail.shared import project as projects
from dovetail.shared import settings, versions
from dovetail.shared import supersede as places
from dovetail.shared.claims import Claims
from dovetail.shared.commit import attach, open_source, supersede
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.ledger import Books, CommitId, Judged, LedgerRow, VersionId
from dovetail.shared.ledger_table import SCHEMA, DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Extent, Log, Waiting
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.project import Project
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import AppendTable
from dovetail.shared.unread import Unread

from .conftest import VIEWS
from .conftest import Run as Command

TO = Position({0: 10, 1: 7})


@dataclass(frozen=True)
class StubLog(Log):
    """A broker with one topic, or one that is away."""

    bootstrap: str = "stub:9092"
    options: dict[str, str] = field(default_factory=dict)
    topic_id: str = "id"
    begin: Position = field(default_factory=lambda: Position({0: 0, 1: 0}))
    end: Position = TO
    open: tuple[Waiting, ...] = ()

    def extent(self, topic: str) -> Extent:
        return Extent(topic, self.topic_id, self.begin, self.end)

    def waiting(self, extent: Extent) -> list[Waiting]:
        return [*self.open]


def broker(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    monkeypatch.setattr(ask, "find_log", lambda _settings: log)
    monkeypatch.setattr("dovetail.shared.status.unread", lambda *_: None)


@pytest.fixture
def running(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose view has read 17 records, all of them archived, 3 in quarantine; both layers hold their locks."""
    declared = projects.load(settings.load())
    layout, version = declared.layout, declared.version(declared.view("sales"))
    ledger = DeltaLedger(layout.ledger("lines"))
    opened = open_source(ledger, topic_id="id", origin=Position({0: 0, 1: 0}))
    attached = attach(ledger, version)
    books = Books(consumed=17, decoded=14, quarantined=3, offered=14)
    ledger.append(LedgerRow(2, 0, "commit", Range(opened.to, TO), {version: 5}, "id", books=books))
    origin = Run(ORIGIN, version, -1, attached.seq, Range(opened.to, opened.to))
    DeltaManifest(layout.manifest("sales")).swap(rules.first("sales", (origin,), "test"))
    Claims(layout.claims("lines")).append(TO)
    broker(monkeypatch, StubLog())
    with ExitStack() as locks:
        for layer in ("speed", "archive"):
            locks.enter_context(held(layout.lock(f"{layer}-lines"), layer))
        yield declared


def run_of(version: VersionId) -> str:
    return versions.short(version)


def test_when_all_is_well_it_says_so(run: Command, running: Project) -> None:
    said = run("status")
    assert (said.code, said.err) == (0, "")
    version = run_of(running.version(running.view("sales")))
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert [line.split() for line in lines[7:]] == [
        ["lock", "held", "by", "pid", "host", "for"],
        *([f"{layer}-lines", layer, str(os.getpid()), gethostname(), "0", "s"] for layer in ("archive", "speed")),
        [],
    ]
    assert lines[:7] == [
        "Nothing is wrong.",
        "source  topic      speed    archive  seq  position  archived  log end  ahead  consumed  quarantined  dropped",
        "lines   cli.lines  running  running    2  10·7      10·7      10·7         0        17            3        0",
        "",
        "view   version     declared    changed  batch    runs  cut  cut seq  garbage  imports",
        f"sales  {version}  {version}  false    stopped     0  0·0  1              0        0",
        "",
    ]


def test_json_tells_the_same(run: Command, running: Project) -> None:
    document = run("status", "--json").document
    version = running.version(running.view("sales"))
    assert all(lock.pop("age_seconds") < 60 for lock in document["locks"])
    assert document == {
        "troubles": [],
        "sources": [
            {
                "source": "lines", "topic": "cli.lines", "speed": "running", "archive": "running", "seq": 2,
                "position": {"0": 10, "1": 7}, "archived": {"0": 10, "1": 7}, "log end": {"0": 10, "1": 7}, "ahead": 0,
                "consumed": 17, "quarantined": 3, "dropped": 0,
            }
        ],
        "rules": [],
        "views": [
            {
                "view": "sales", "version": version, "declared": version, "changed": False, "batch": "stopped",
                "runs": 0, "cut": {"0": 0, "1": 0}, "cut seq": 1, "garbage": [],
                    "imports": [],
            }
        ],
        "locks": [
            {"lock": f"{layer}-lines", "what": layer, "pid": os.getpid(), "host": gethostname(), "lives": True}
            for layer in ("archive", "speed")
        ],
        "dimensions": [],
    }  # fmt: skip


def test_what_broke_a_rule_is_told_by_source_and_rule(run: Command, running: Project) -> None:
    ledger = DeltaLedger(running.layout.ledger("lines"))
    broken = {Judged("quantity > 0", "drop"): 2, Judged("price is known", "warn"): 1200}
    books = Books(consumed=3, decoded=3, offered=1, dropped=2)
    ledger.append(LedgerRow(3, 0, "commit", Range(TO, TO), {}, "id", books=books, broken=broken))
    lines = [line.rstrip() for line in run("status").out.splitlines()]
    at = lines.index("source  rule            otherwise  broken")
    assert lines[at + 1 : at + 3] == [
        "lines   price is known  warn        1,200",
        "lines   quantity > 0    drop            2",
    ]
    document = run("status", "--json").document
    assert document["rules"][1] == {"source": "lines", "rule": "quantity > 0", "otherwise": "drop", "broken": 2}
    assert document["sources"][0]["dropped"] == 2


def test_a_share_in_quarantine_above_the_setting_is_told_with_its_command(run: Command, running: Project) -> None:
    ledger = DeltaLedger(running.layout.ledger("lines"))
    version = running.version(running.view("sales"))
    books = Books(consumed=1000, decoded=940, quarantined=60, offered=940)
    ledger.append(LedgerRow(3, 0, "commit", Range(TO, TO), {version: 0}, "id", books=books))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith(
        "!  lines: 60 of 1,000 records (6.0%) of the last commit went to quarantine\n"
        "     next  dovetail quarantine list lines\n"
    )
    (running.settings.folder / "dovetail.toml").write_text("[speed]\nwarn_if_quarantined = '6%'\n")
    assert run("status").out.startswith("Nothing is wrong.\n")


def test_what_is_larger_or_older_than_a_setting_says_is_told(
    run: Run, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = running.version(running.view("sales"))
    run_table = running.layout.version(version) / "runs" / "abandoned"
    earlier = running.layout.versions("sales") / "0123456789abcdef" / "states"
    for folder, size in ((run_table, 300), (earlier, 700)):
        folder.mkdir(parents=True)
        (folder / "rows").write_bytes(b"0" * size)
    bad = {"partition": [0], "offset": [3], "timestamp": [0], "key": [b""], "value": [b"x"], "reason": ["y"]}
    DeltaStates(running.layout, "lines").write_quarantined(CommitId("1"), 2, pa.table(bad))
    assert run("status").code == 0
    broker(monkeypatch, StubLog(end=Position({0: 20, 1: 7})))
    old = Unread(RecordId(0, 10), 5 * 3600, 8 * 3600)
    monkeypatch.setattr("dovetail.shared.status.unread", lambda *_: old)
    settings = {"warn_quarantine": "1 kB", "warn_waste": "999 B", "warn_unread": "50%"}

    def told(**changed: str) -> list[str]:
        lines = [f'{name} = "{value}"' for name, value in {**settings, **changed}.items()]
        (running.settings.folder / "dovetail.toml").write_text("\n".join(["[retention]", *lines]))
        return [trouble["code"] for trouble in run("status", "--json").document["troubles"]]

    assert told() == ["retention-near", "quarantine-size", "waste"]
    assert told(warn_unread="63%", warn_quarantine="1 MB", warn_waste="1 kB") == []
    assert told(warn_unread="", warn_quarantine="1 MB") == ["waste"]


def test_what_was_put_right_and_is_not_known_to_be_sent_is_told(run: Command, running: Project) -> None:
    ledger, place = DeltaLedger(running.layout.ledger("lines")), RecordId(0, 3)
    supersede(ledger, lambda i, seq: places.write(running.layout, "lines", [place], i, seq), allowed=lambda _: None)
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  lines: 0@3 put right by a resend and not known to be sent\n")
    assert "dovetail quarantine resend lines 0@3 --edit --again, unless the topic holds it" in said.out
    places.note_sent(running.layout, "lines", {place: RecordId(0, 12)})
    assert run("status").out.startswith("Nothing is wrong.")


def test_records_that_kafka_dropped_come_before_everything_else(
    run: Command, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker(monkeypatch, StubLog(begin=Position({0: 12, 1: 0}), end=Position({0: 20, 1: 7})))
    fingerprint = run_of(running.version(running.view("sales"))).partition("@")[2]
    (running.settings.folder / "views.py").write_text(VIEWS.replace("dv.count(),", 'dv.count(), "again": dv.count(),'))
    del sys.modules["views"]
    said = run("status")
    assert said.code == 1
    wrong = [line for line in said.out.splitlines() if line.startswith("!")]
    assert wrong == [
        "!  lines: Kafka dropped 0@10..12 before the speed layer read it, at most 2 records",
        "!  lines: Kafka dropped 0@10..12 before the archive read it, at most 2 records",
        f"!  sales: changed since {fingerprint}, which still answers",
    ]
    assert "     next  dovetail plan sales\n" in said.out
    assert (
        '     next  accept it: dovetail accept-gap lines 0@10..12 --because "…"; of a copy load what that' in said.out
    )


def test_what_speed_lacks_and_the_archive_holds_is_not_gone(
    run: Command, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Claims(running.layout.claims("lines")).append(Position({0: 12, 1: 7}))
    broker(monkeypatch, StubLog(begin=Position({0: 12, 1: 0}), end=Position({0: 20, 1: 7})))
    assert run("status").out.startswith("Nothing is wrong.\n")


def test_a_transaction_left_open_is_named_with_its_producer_once_it_is_long(
    run: Command, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = Waiting(RecordId(1, 7), "billing-7", 840.0)
    broker(monkeypatch, StubLog(open=(open_, Waiting(RecordId(0, 10), "short", 9.0))))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith(
        "!  lines: position stands still at 1@7 while the log grows: a transaction of producer billing-7 is open,"
        " its last record 14 min old\n"
        "     next  let that producer commit or abort; else kafka-transactions.sh abort --topic cli.lines "
        "--partition 1 --start-offset 7\n"
    )
    assert "short" not in said.out


def test_a_topic_made_anew_is_told(run: Command, running: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    broker(monkeypatch, StubLog(topic_id="another"))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  lines: cli.lines was deleted and made again: it was id, now it is another\n")


def test_a_stopped_layer_is_told_with_its_command(
    run: Command, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker(monkeypatch, StubLog(end=Position({0: 1210, 1: 8})))
    shutil.rmtree(running.layout.root / "locks")
    said = run("status")
    assert said.code == 1
    assert said.out.startswith(
        "!  lines: speed does not run, the log is 1,201 offsets ahead\n"
        "     next  dovetail speed lines\n     page  docs/runbook/speed-stopped.md\n"
        "!  lines: the archive does not run, the log is 1,201 offsets ahead\n"
        "     next  dovetail archive lines\n     page  docs/runbook/archive-stopped.md\n"
    )
    told = run("status", "--json").document["troubles"]
    assert [trouble["code"] for trouble in told] == ["speed-stopped", "archive-stopped"]


def test_without_a_broker_the_tables_still_tell(
    run: Command, running: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_settings: object) -> Log:
        raise ServiceMissing("no broker", next="start one")

    monkeypatch.setattr(ask, "find_log", away)
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  Kafka: no broker\n     next  start one\n")
    assert (
        "lines   cli.lines  running  running    2  10·7      10·7      –            –        17            3        0"
        in said.out
    )


def test_a_live_version_that_is_no_longer_folded_is_wrong(run: Command, running: Project) -> None:
    ledger = DeltaLedger(running.layout.ledger("lines"))
    ledger.append(LedgerRow(3, 0, "detach", Range(TO, TO), {}, "id"))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith(
        f"!  sales: does not go on, for {run_of(running.version(running.view('sales')))} is not in force for new"
        " records\n     next  dovetail batch sales --full\n"
    )


def test_a_view_that_never_answered_is_told(run: Command, running: Project) -> None:
    shutil.rmtree(running.layout.manifest("sales"))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  sales: has never answered\n     next  dovetail batch sales\n")


def test_a_run_that_no_manifest_names_is_garbage_and_not_trouble(run: Command, running: Project) -> None:
    folder = running.layout.version(running.version(running.view("sales"))) / "runs" / "abandoned"
    folder.mkdir(parents=True)
    said = run("status")
    assert said.code == 0
    assert said.out.endswith(f"garbage: {folder} is a run that nothing names; dovetail clean deletes it\n")


def test_a_torn_ledger_is_told_and_the_rest_still_looked_at(run: Command, running: Project) -> None:
    table = AppendTable(running.layout.ledger("lines"), SCHEMA)
    (last,) = (r for r in table.read().to_pylist() if r["seq"] == 2)
    table.append(pa.Table.from_pylist([last | {"commit_id": "another"}], schema=SCHEMA))
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  lines: the ledger holds two rows of seq 2: ")
    assert "\nsales  " in said.out


def test_asking_makes_nothing(run: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker(monkeypatch, StubLog())
    said = run("status")
    assert said.code == 1
    assert said.out.startswith("!  lines: was never read\n     next  dovetail dev\n")
    assert not (project / "data").exists()
