"""`dovetail send` and `dovetail load`, with a stub in Kafka's place."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dovetail.cli import care
from dovetail.shared.log import Extent, TopicMissing
from dovetail.shared.position import Position

from .conftest import Run

NOW = datetime(2026, 3, 22, 9, 0, tzinfo=UTC)
GOOD = '{"country": "FR", "quantity": 2, "price": 12.50, "at": "2026-01-30T09:00:00Z"}'


@dataclass
class StubMessage:
    """An acknowledged record."""

    place: tuple[int, int]

    def partition(self) -> int:
        return self.place[0]

    def offset(self) -> int:
        return self.place[1]

    def timestamp(self) -> tuple[int, int]:
        return 1, int(NOW.timestamp() * 1000)


@dataclass
class StubLog:
    """A topic that keeps what is sent; refuses the records in `refused`, and holds `queue` unacknowledged at most."""

    bootstrap: str = "stub:9092"
    topic: str | None = "cli.lines"
    refused: frozenset[int] = frozenset()
    queue: int = 5
    records: list[tuple[bytes | None, bytes]] = field(default_factory=list)
    created: list[tuple[str, int]] = field(default_factory=list)
    _waiting: list[Callable[[], None]] = field(default_factory=list)

    def extent(self, topic: str) -> Extent:
        if topic != self.topic:
            raise TopicMissing(f"topic {topic} is not there", where=self.bootstrap, next="create it")
        return Extent(topic, "id", Position(), Position())

    def create(self, topic: str, *, partitions: int) -> bool:
        self.created.append((topic, partitions))
        self.topic = topic
        return True

    def producer(self) -> StubLog:
        return self

    def produce(
        self, _topic: str, *, value: bytes, key: bytes | None, on_delivery: Callable[..., None], **_: object
    ) -> None:
        if len(self._waiting) >= self.queue:
            raise BufferError
        number = len(self.records)
        self.records.append((key, value))
        answer = ("broker said no", None) if number in self.refused else (None, StubMessage((number % 2, number)))
        self._waiting.append(lambda: on_delivery(*answer))

    def poll(self, _seconds: float) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def flush(self, _seconds: float) -> int:
        self.poll(0)
        return 0


@pytest.fixture
def log(project: Path, monkeypatch: pytest.MonkeyPatch) -> StubLog:
    stub = StubLog()
    monkeypatch.setattr(care, "find_log", lambda _settings: stub)
    return stub


def written(folder: Path, text: str, name: str = "lines.jsonl") -> str:
    (folder / name).write_text(text)
    return name


def test_a_record_is_sent_as_it_is_written_and_its_place_and_lateness_are_said(run: Run, log: StubLog) -> None:
    said = run("send", "lines", GOOD, "--key", "FR")
    assert (said.code, said.err) == (0, "")
    assert log.records == [(b"FR", GOOD.encode())]
    assert said.out == (
        "lines 0@0, 51 days late. See it: dovetail query sales --by country --start 2026-01-30T09:00:00Z"
        " --end 2026-01-30T10:00:00Z --at-least 0@0\n"
    )


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-03-22T09:00:00Z", ", on time."),
        ("2026-03-22T08:59:59", ", 1 second late."),
        ("2026-03-24T09:00:00+00:00", ", 2 days ahead."),
        ("2026-03-22", ", 9 hours late."),
        ("soon", "."),
    ],
)
def test_lateness_is_kafkas_time_less_the_records(run: Run, log: StubLog, at: str, words: str) -> None:
    assert run("send", "lines", f'{{"at": "{at}"}}').out.startswith(f"lines 0@0{words} See it: ")


def test_json_tells_the_place_of_the_record(run: Run, log: StubLog) -> None:
    document = run("send", "lines", GOOD, "--json").document
    assert isinstance(document, Mapping)
    assert (document["record"], document["late_seconds"], document["sent"]) == ("0@0", 51 * 86400, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "error  this is not JSON: "),
        ("[1]", "error  a record is a JSON object, not a list\n"),
        ("null", "error  a record is a JSON object, not null\n"),
        ("7", "error  a record is a JSON object, not a number\n"),
    ],
)
def test_text_that_is_no_object_is_refused_unless_raw(run: Run, log: StubLog, text: str, says: str) -> None:
    said = run("send", "lines", text)
    assert (said.code, log.records) == (2, [])
    assert said.err.startswith(says)
    assert said.err.endswith(" next  --raw sends any text as it is\n")

    assert run("send", "lines", text, "--raw").code == 0
    assert log.records == [(None, text.encode())]


def test_a_field_that_the_schema_has_not_is_warned_of(run: Run, log: StubLog) -> None:
    said = run("send", "lines", '{"contry": "FR", "at": "2026-03-01"}')
    assert said.code == 0
    assert said.err == (
        "warning  unknown field 'contry': did you mean 'country'? Known: at, country, price, quantity; it is sent,"
        " and ignored\n"
    )


def test_a_record_without_its_time_is_warned_of(run: Run, log: StubLog) -> None:
    assert run("send", "lines", "{}").err == "warning  there is no at: the record will go to quarantine\n"


def test_an_unknown_source_is_exit_2(run: Run, log: StubLog) -> None:
    said = run("send", "line", GOOD)
    assert (said.code, log.records) == (2, [])
    assert said.err.startswith("error  unknown source 'line': did you mean 'lines'? Known: lines\n")


@pytest.mark.parametrize("verb", [("send", "lines", GOOD), ("load", "lines", "lines.jsonl")])
def test_a_topic_that_is_not_there_is_said_and_not_created(
    run: Run, log: StubLog, project: Path, verb: tuple[str, ...]
) -> None:
    written(project, GOOD)
    log.topic = None
    said = run(*verb)
    assert (said.code, log.records, log.created) == (3, [], [])
    assert said.err.startswith("error  topic cli.lines is not there\n")


@pytest.mark.parametrize("verb", [("send", "lines", GOOD), ("load", "lines", "lines.jsonl")])
def test_a_dry_run_sends_nothing(run: Run, log: StubLog, project: Path, verb: tuple[str, ...]) -> None:
    written(project, GOOD)
    said = run(*verb, "--dry-run")
    assert (said.code, log.records) == (0, [])
    assert said.out.endswith(" to cli.lines. Nothing sent.\n")


def test_a_record_that_is_not_acknowledged_is_exit_3(run: Run, log: StubLog) -> None:
    log.refused = frozenset({0})
    said = run("send", "lines", GOOD)
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error  the record was not acknowledged: broker said no\nwhere  stub:9092\n")


def test_a_file_of_json_lines_is_sent_byte_for_byte(run: Run, log: StubLog, project: Path) -> None:
    rows = [f'{{"country":"F{n}", "at" : "2026-03-01"}}' for n in range(12)]
    said = run("load", "lines", written(project, "\n".join(rows) + "\n\n"), "--key", "country")
    assert (said.code, said.err) == (0, "")
    assert log.records == [(f"F{n}".encode(), row.encode()) for n, row in enumerate(rows)]
    assert said.out.startswith("12 records sent to cli.lines, all acknowledged, ")


def test_lines_can_come_in_on_stdin(run: Run, log: StubLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("load", "lines", "-", "--json").document == {
        "source": "lines", "topic": "cli.lines", "records": 1, "acknowledged": 1, "bad": 0, "sent": True,
    }  # fmt: skip
    assert log.records == [(None, GOOD.encode())]


def test_csv_becomes_json_of_the_schemas_types(run: Run, log: StubLog, project: Path) -> None:
    text = 'country,quantity,price,at\n"FR, ""north""",2,007.50,2026-03-01\n,,,\n'
    assert run("load", "lines", written(project, text, "lines.csv"), "--key", "country").code == 0
    assert log.records == [
        (b'FR, "north"', b'{"country":"FR, \\"north\\"","quantity":2,"price":7.50,"at":"2026-03-01"}'),
        (None, b'{"country":null,"quantity":null,"price":null,"at":null}'),
    ]


def test_a_bad_line_stops_with_its_number_after_what_stood_before_it(run: Run, log: StubLog, project: Path) -> None:
    said = run("load", "lines", written(project, f"{GOOD}\n\n{GOOD}\n{{\n{GOOD}\n"))
    assert (said.code, len(log.records)) == (2, 2)
    assert said.err.startswith("error  line 4: not JSON: ")
    assert "\n  why  the 2 records before it are sent\n" in said.err
    assert "--keep-bad" in said.err


def test_keep_bad_sends_a_bad_line_as_it_is(run: Run, log: StubLog, project: Path) -> None:
    said = run("load", "lines", written(project, f"{GOOD}\n[1\n"), "--keep-bad")
    assert (said.code, log.records[1]) == (0, (None, b"[1"))
    assert said.err == "warning  1 line cannot be decoded; see them by dovetail quarantine list lines\n"


@pytest.mark.parametrize(("refused", "count"), [({3}, "1 of 5"), ({0, 1, 7}, "2 of 5"), ({8}, "1 of 9")])
def test_records_that_are_not_acknowledged_are_counted(
    run: Run, log: StubLog, project: Path, refused: set[int], count: str
) -> None:
    log.refused = frozenset(refused)
    said = run("load", "lines", written(project, f"{GOOD}\n" * 9))
    assert (said.code, said.out) == (3, "")
    assert said.err == (
        f"error  {count} records were not acknowledged\nwhere  stub:9092\n  why  broker said no\n"
        " next  dovetail doctor; then load the rest\n"
    )


def test_create_makes_the_topic_with_the_projects_partitions(run: Run, log: StubLog, project: Path) -> None:
    (project / "dovetail.toml").write_text("[kafka]\npartitions = 3\n")
    log.topic = None
    assert run("load", "lines", written(project, GOOD), "--create").code == 0
    assert log.created == [("cli.lines", 3)]


def test_a_file_that_is_not_there_is_exit_2(run: Run, log: StubLog) -> None:
    said = run("load", "lines", "nothing.jsonl")
    assert (said.code, said.err) == (2, "error  nothing.jsonl cannot be read\n  why  No such file or directory\n")


def test_an_unknown_format_is_exit_2(run: Run, log: StubLog, project: Path) -> None:
    said = run("load", "lines", written(project, ""), "--format", "tsv")
    assert said.code == 2
    assert said.err.startswith("error  unknown format 'tsv'")


def test_an_embedded_broker_that_does_not_run_is_said_at_once(run: Run, project: Path) -> None:
    (project / "dovetail.toml").write_text("")
    said = run("send", "lines", GOOD)
    assert said.code == 3
    assert said.err == (
        "error  the embedded Kafka broker of this project does not run\n"
        f"where  {project}/data/kafka\n next  dovetail dev, or dovetail kafka in another terminal\n"
    )
