"""Feeds into a real broker: each row once for readers of committed records, wherever the feeder is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from e2e_log import committed
from killed import killed_at

import dovetail as dv
from dovetail.feeding import marks, parts, run
from dovetail.feeding.files import FilesReader
from dovetail.feeding.write import Writer
from dovetail.shared.errors import Busy, IntegrityError, Mend
from dovetail.shared.feed import Files
from dovetail.shared.log import Log

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(600)]
VIEWS = """
import dovetail as dv

orders = dv.source("orders", topic="{topic}", schema="id bigint, price decimal(10,2)")
sales = dv.view("sales", source=orders, measures={{"lines": dv.count()}})
orders_files = dv.feed.files(
    "orders_files", source=orders, folder="in", format="csv", key="id", quiet="0s", every="100ms"
)
"""
WALKED = ("feed.opened", "feed.read", "feed.sent", "feed.committed")


class Project:
    """A project on the broker at hand with one feed, whose feeder is a process of its own."""

    def __init__(self, folder: Path, log: Log, topic: str) -> None:
        self.folder, self.log, self.topic = folder, log, topic
        (folder / "in").mkdir()
        (folder / "dovetail.toml").write_text(f'[kafka]\nbootstrap = "{log.bootstrap}"\n')
        (folder / "views.py").write_text(VIEWS.format(topic=topic))
        log.create(topic, partitions=3)

    def file(self, name: str, ids: range) -> None:
        (self.folder / "in" / name).write_text("id,price\n" + "".join(f"{n},{n}.50\n" for n in ids))

    def start(self, *arguments: str, failpoint: str = "") -> subprocess.Popen[str]:
        armed = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": failpoint} if failpoint else {}
        command = [sys.executable, "-m", "dovetail", "feed", "orders_files", "--json", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **armed}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def once(self, failpoint: str = "", code: int = 0) -> Any:
        """What a feeder says at its end."""
        process = self.start("--once", failpoint=failpoint)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        return orjson.loads(out.splitlines()[-1]) if code == 0 else err

    def ids(self) -> Counter[int]:
        return Counter(orjson.loads(record.value)["id"] for record in committed(self.log, self.topic))


@pytest.fixture
def project(log: Log, tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    return Project(tmp_path, log, f"fed-{abs(hash(request.node.name)) % 10**8}")


@pytest.fixture
def small(project: Project, monkeypatch: pytest.MonkeyPatch) -> tuple[Files, Callable[[], int]]:
    """A feed with parts of two rows, run in this process."""
    monkeypatch.setattr(parts, "ROWS", 2)
    source = dv.source("orders", topic=project.topic, schema="id bigint, price decimal(10,2)")
    feed = dv.feed.files("orders_files", source=source, folder="in", format="csv", key="id", quiet="0s")

    def once() -> int:
        reader = FilesReader(feed, project.folder / "in")
        return run.Feeding(feed, reader).run(Writer(project.log, feed), once=True).records

    return feed, once


def test_each_row_is_in_the_log_once_wherever_the_feeder_is_killed(project: Project) -> None:
    for n, name in enumerate(WALKED):
        project.file(f"{n}.csv", range(n * 10, n * 10 + 10))
        project.once(f"{name}:crash", code=-signal.SIGKILL)
        fed = {"feed.committed": 10 * n + 10}.get(name, 10 * n)
        assert project.ids() == dict.fromkeys(range(fed), 1), f"after a kill at {name}"
        assert project.once()["records"] == 10 * n + 10 - fed
        assert project.ids() == dict.fromkeys(range(n * 10 + 10), 1)
    assert project.once()["records"] == 0
    record = committed(project.log, project.topic)[0]
    assert dict(record.headers)["feed"] == b"orders_files"
    assert record.key == str(orjson.loads(record.value)["id"]).encode()


def test_a_kill_at_every_part_of_a_file_loses_and_doubles_nothing(
    project: Project, small: tuple[Files, Callable[[], int]]
) -> None:
    project.file("a.csv", range(7))
    for name in ("feed.read", "feed.sent", "feed.committed", "feed.sent", "feed.read"):
        with killed_at(name):
            small[1]()
    small[1]()
    assert project.ids() == dict.fromkeys(range(7), 1)


def test_of_two_feeders_of_one_name_the_earlier_is_fenced_and_says_so(project: Project) -> None:
    first = project.start()
    assert first.stdout is not None
    assert orjson.loads(first.stdout.readline()) == {"ready": "orders_files"}
    project.file("a.csv", range(5))
    assert orjson.loads(first.stdout.readline())["records"] == 5
    project.once()
    project.file("b.csv", range(5, 10))
    out, err = first.communicate(timeout=60)
    assert (first.returncode, out) == (1, "")
    assert orjson.loads(err.splitlines()[-1])["kind"] == "Busy"
    assert "another feeder of orders_files has begun" in err
    assert project.ids() == dict.fromkeys(range(5), 1), "what the earlier had sent is not in the log"
    assert project.once()["records"] == 5


def test_a_feeder_stops_when_it_is_told_to_and_goes_on_where_it_was(project: Project) -> None:
    project.file("a.csv", range(5))
    feeder = project.start()
    assert feeder.stdout is not None
    assert [list(orjson.loads(feeder.stdout.readline())) for _ in range(2)] == [["ready"], ["feed", "of", "records"]]
    feeder.send_signal(signal.SIGTERM)
    out, err = feeder.communicate(timeout=60)
    assert (feeder.returncode, orjson.loads(out)["records"]) == (0, 5), err
    project.file("b.csv", range(5, 8))
    said = subprocess.run(
        [sys.executable, "-m", "dovetail", "feed", "orders_files", "--dry-run"],
        cwd=project.folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert said.stdout == f"3 records would be fed into {project.topic}. Nothing sent.\n", said.stderr
    assert sum(project.ids().values()) == 5
    assert project.once()["records"] == 3


def test_a_shape_that_changes_stops_it_with_nothing_half_sent(project: Project) -> None:
    project.file("a.csv", range(5))
    project.once()
    (project.folder / "in" / "b.csv").write_text("id,cost\n5,1\n")
    said = orjson.loads(project.once(code=1).splitlines()[-1])
    assert "column price is gone" in said["error"]["what"]
    assert sum(project.ids().values()) == 5


def test_what_was_fed_is_of_this_topic_and_this_declaration(
    project: Project, small: tuple[Files, Callable[[], int]]
) -> None:
    feed, once = small
    project.file("a.csv", range(2))
    once()
    other = dv.feed.files("orders_files", source=feed.source, folder="in", format="jsonl")
    with pytest.raises(Mend, match="has fed something else before"):
        Writer(project.log, other)
    with closing(project.log.admin()) as admin:
        admin.delete_topics([project.topic])
    until = time.monotonic() + 60
    while not project.log.create(project.topic, partitions=1):
        assert time.monotonic() < until, "it is still being deleted"
        time.sleep(0.2)
    with pytest.raises(IntegrityError, match="deleted and made again"):
        once()


def test_a_topic_that_forgets_how_far_it_came_is_refused(
    project: Project, small: tuple[Files, Callable[[], int]]
) -> None:
    project.log.create(small[0].id, partitions=1)
    with pytest.raises(Mend, match=r"not compacted but cleanup\.policy=delete"):
        small[1]()


def test_marks_are_read_once_nobody_else_can_write(
    project: Project, small: tuple[Files, Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, once = small
    project.file("a.csv", range(2))
    earlier, read = Writer(project.log, feed), marks.read
    [first, *_] = FilesReader(feed, project.folder / "in").parts({})

    def read_and_meanwhile(*given: Any) -> dict[str, Any]:
        found = read(*given)
        with suppress(Busy):
            earlier.write(first)
        return found

    monkeypatch.setattr(marks, "read", read_and_meanwhile)
    assert once() == 2
    assert project.ids() == {0: 1, 1: 1}


def test_a_writer_that_was_paused_cannot_write_any_more(
    project: Project, small: tuple[Files, Callable[[], int]]
) -> None:
    feed, once = small
    project.file("a.csv", range(2))
    paused = Writer(project.log, feed)
    [first, *_] = FilesReader(feed, project.folder / "in").parts({})
    once()
    with pytest.raises(Busy, match="another feeder of orders_files has begun"):
        paused.write(first)
    assert project.ids() == {0: 1, 1: 1}
