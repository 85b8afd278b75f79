"""A view is changed, promoted, left and promoted again while 1,000 records a second come and speed is killed twice.

Twenty questions a second are asked all the while: each answer is the truth of the version and position it names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from asking import RATE as QUESTIONS_A_SECOND
from asking import asking
from change_load import NEW, QUESTIONS, RATE, Line, Topic, Truth, Version, make, wrong
from e2e_system import SETTLE_S, System, free_port
from e2e_system import Topic as AnyTopic

from dovetail.shared.log import Log
from dovetail.shared.position import Position

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1800)]
LEAST_S = 240
"""Seconds of load, at least."""
CALM_S = 12
"""Between two steps, for answers to come."""


class Changing(System):
    """The project running, and its commands as their users type them."""

    def dovetail(self, *line: str, code: int = 0) -> Any:
        """What a command says in JSON: its last document."""
        done = subprocess.run(
            [sys.executable, "-m", "dovetail", *line, "--json"], cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == code, f"dovetail {' '.join(line)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    def kill_speed(self) -> None:
        """kill -9, and started again."""
        self.stack.children.pop("speed").kill()
        self.start("speed")

    @property
    def receipt(self) -> Any:
        return self.ask("sales", measures="lines")["receipt"]

    def wait_answered(self, version: str) -> None:
        self.stack.wait(f"answers of {version}", lambda: self.receipt["version"] == version, seconds=SETTLE_S)

    def wait_reached(self, end: Position) -> None:
        self.stack.wait(
            f"answers up to {end!r}",
            lambda: Position.from_json(self.receipt["position"]).reaches(end),
            seconds=SETTLE_S,
        )


def test_every_answer_is_the_truth_of_the_version_it_names(log: Log, tmp_path: Path) -> None:
    name = "change.load"
    folder = make(tmp_path / "project", log, topic=name, port=free_port())
    topic = Topic(log, name, partitions=3)
    with Changing(folder, AnyTopic(log, name, partitions=3), {}) as shop:
        shop.start("archive", wait=False)
        shop.start("speed")
        shop.serve()
        url, began = shop.project.settings.serving.url + "/v1/", time.monotonic()
        with topic.filled():
            time.sleep(CALM_S)
            with asking(url, lambda: [], QUESTIONS) as asked:
                old, new = through_a_change(shop)
                time.sleep(max(CALM_S, began + LEAST_S - time.monotonic()))
        assert topic.problems == []
        shop.wait_reached(topic.end)
        last = shop.ask("sales", by="shop", bucket="1d", measures="lines,large,revenue", limit=1000)
        shop.stack.wait("the archive", lambda: archived(shop).reaches(topic.end), seconds=SETTLE_S)
        proof = shop.dovetail("prove", "lines")

    versions: dict[str, Version] = {old: "old", new: "new"}
    told = sorted(((q.kind, a) for q, a in asked.answers), key=lambda told: told[1]["receipt"]["seq"])
    told.append(("grouped", last))
    truth, found = Truth(topic.arrived), [*asked.problems]
    for kind, answer in told:
        truth.advance(Position.from_json(answer["receipt"]["position"]))
        found += filter(None, [wrong(answer, kind, versions[answer["receipt"]["version"]], truth)])
    assert found == [], "\n".join([f"{len(found)} of {len(told)}", *found[:12]])
    assert (proof["lost"], proof["doubled"], proof["problems"]) == (0, 0, [])
    seconds, sent = time.monotonic() - began, sum(topic.end[p] for p in topic.end)
    print(f"{len(told):,} answers, {sent:,} records in {seconds:,.0f} s, the asker {asked.late:.1f} s late at most")
    assert len(told) > QUESTIONS_A_SECOND * LEAST_S / 2
    assert sent > RATE * LEAST_S / 2
    named = Counter(answer["receipt"]["version"] for _, answer in told)
    assert min(named[old], named[new]) > QUESTIONS_A_SECOND * CALM_S


def through_a_change(shop: Changing) -> tuple[str, str]:
    """The change, from the first batch to the second promotion; gives the version before and after."""
    old = shop.receipt["version"]
    shop.dovetail("batch", "sales")
    (shop.folder / "amounts.py").write_text(NEW, "utf-8")
    [planned] = shop.dovetail("plan", "sales")
    assert (planned["state"], planned["live"]) == ("changed", old)
    new = planned["declared"]
    shop.stack.start("reprocess", "reprocess", "sales", "--max-rate", "4000", "--json")
    child = shop.stack.children["reprocess"]
    shop.stack.wait("the first part", lambda: "done" in child.last, seconds=SETTLE_S)
    shop.stack.children.pop("reprocess")  # it may end by itself from now on
    shop.kill_speed()
    assert child.process.wait(SETTLE_S) == 0, child.log.read_text()[-3000:]
    child.stop()  # its pipe is closed
    shop.dovetail("batch", "sales")  # a night goes on with what answers
    assert shop.receipt["version"] == old
    compared = shop.dovetail("diff", "sales", code=1)
    assert (compared["before"], compared["after"]) == (old, new)
    assert {m["measure"] for m in compared["measures"] if m["differing"]} == {"lines", "revenue"}
    for verb, version in (("promote", new), ("rollback", old), ("promote", new)):
        shop.dovetail(verb, "sales", "--because", "the tests")
        shop.wait_answered(version)
        time.sleep(CALM_S)
        shop.dovetail("batch", "sales")
        if verb == "rollback":
            shop.kill_speed()
        time.sleep(CALM_S)
    return old, new


def archived(shop: Changing) -> Position:
    from dovetail.shared.claims import Claims

    return Claims(shop.project.layout.claims("lines")).last() or Position()


def test_what_is_lost_doubled_or_of_the_other_version_is_seen() -> None:
    line = Line("s1", date(2026, 3, 1), 45, Decimal("2.50"))
    truth = Truth({0: [line, None, Line("s2", date(2026, 3, 1), 0, Decimal(1)), line]})
    truth.advance(Position({0: 3}))
    rows = [{"lines": 1, "large": 1, "revenue": "90.0000"}]
    assert [truth.rows("total", v) for v in ("old", "new")] == [
        [{"lines": 2, "large": 1, "revenue": Decimal("112.50")}], [{"lines": 1, "large": 1, "revenue": Decimal(90)}],
    ]  # fmt: skip
    answer = {"rows": rows, "receipt": {"complete": True}}
    assert wrong(answer, "total", "new", truth) == ""
    assert wrong(answer, "total", "old", truth) != ""
    truth.advance(Position({0: 4}))
    assert wrong(answer, "total", "new", truth) != ""
    assert wrong({**answer, "rows": []}, "total", "new", truth) != ""
