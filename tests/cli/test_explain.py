"""`trace` and `why`: how a path reads, and what they say where there is nothing to look at; no engine is started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dovetail.batch.counted import NO_ROW, Answered, Group
from dovetail.batch.trace import Trace
from dovetail.cli import explain
from dovetail.cli.explain import path
from dovetail.shared.commit import open_source
from dovetail.shared.ledger import VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Extent
from dovetail.shared.position import Position, RecordId

from .conftest import Run

NINE = datetime(2026, 10, 1, 9, tzinfo=UTC)
SALES = Answered(
    "sales", VersionId("sales@3f2a9c0d41e7b652"), (Group({"zip": "94217", "n": 90001, "code": None}, NINE, 1),),
    served_by="speed", cut=RecordId(2, 871),
)  # fmt: skip
KEPT = Trace("orders", RecordId(2, 3141), seq=38, at=NINE.timestamp(), deduplicated=True, fate="kept", views=(SALES,))


def test_a_path_is_one_line() -> None:
    assert path(KEPT) == [
        "read in seq 38 at 2026-10-01 09:00 → decoded → not a repeat → kept → "
        "sales[94217, 90001, null, 2026-10-01 09:00] → served by speed (above cut 2@871)"
    ]


def test_each_of_several_views_has_a_line_of_its_own() -> None:
    batch = replace(SALES, served_by="batch", run="4f0c9d1e22334455", cut=RecordId(2, 3160))
    nowhere = replace(SALES, view="buyers", groups=(), reason=NO_ROW)
    assert path(replace(KEPT, deduplicated=False, views=(batch, nowhere))) == [
        "read in seq 38 at 2026-10-01 09:00 → decoded → kept",
        "sales[94217, 90001, null, 2026-10-01 09:00] → served by batch run 4f0c9d1e (below cut 2@3160)",
        "buyers: the transform gives no row",
    ]


def test_a_view_of_an_older_version_may_see_what_the_source_now_keeps_aside() -> None:
    (line,) = path(replace(KEPT, fate="quarantined", reason="no at", views=(SALES, replace(SALES, groups=()))))
    assert line.startswith("read in seq 38 at 2026-10-01 09:00 → in quarantine: no at → sales[94217, ")


class StubLog:
    def extent(self, topic: str) -> Extent:
        return Extent(topic, "t", Position({0: 0}), Position({0: 3}))


def test_past_the_end_is_exit_1_and_starts_no_engine(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "find_log", lambda _: StubLog())
    monkeypatch.setattr(explain, "start_spark", lambda *_, **__: pytest.fail("the engine was started"))
    open_source(DeltaLedger(project / "data" / "sources" / "lines" / "ledger"), topic_id="t", origin=Position({0: 0}))
    said = run("trace", "lines", "0@3")
    assert (said.code, said.out) == (1, "lines 0@3: past the end of the log, which is 0@3\n")
    document = run("trace", "lines", "0@3", "--json").document
    assert document["missing"] == "past the end of the log, which is 0@3"
    assert (document["read"], document["decoded"], document["views"]) == (None, None, [])


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("trace lins 0@1", 2, "unknown source 'lins': did you mean 'lines'? Known: lines"),
        ("trace lines 0-1", 2, "'0-1' is not a record: write partition@offset, as in 2@3141"),
        ("why salse", 2, "unknown view 'salse': did you mean 'sales'? Known: sales"),
        ("why sales FR", 2, "Invalid value for KEY=VALUE: 'FR' is not KEY=VALUE"),
        ("why sales country=FR", 1, "sales has never answered\n next  dovetail batch sales"),
    ],
)
def test_what_is_wrong_with_a_question_is_said_first(run: Run, project: Path, line: str, code: int, says: str) -> None:
    said = run(*line.split())
    assert (said.code, said.out) == (code, "")
    assert said.err.startswith(f"error  {says}")


def test_of_a_source_that_was_never_read_there_is_no_record(run: Run, project: Path) -> None:
    said = run("trace", "lines", "0@1")
    assert (said.code, said.out) == (1, "lines 0@1: nothing of lines was ever read\nnext  dovetail dev\n")
