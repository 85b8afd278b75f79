"""`dovetail quarantine`: what it shows of what is in it, and what it refuses; a stub in Kafka's place."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from quarantine_stand import Bad, Stand

from dovetail.cli import resend
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.decode import decoder_id
from dovetail.shared.log import Extent
from dovetail.shared.position import Position, RecordId
from dovetail.shared.project import Project

from .conftest import Run

EVIL = b'{"country": "FR\x1b[31m", "quantity": 2}'
GOOD = '{"country": "FR", "at": "2026-03-01T09:00:00Z"}'


class StubLog:
    """A topic that keeps what is sent, from offset 40 on."""

    bootstrap = "stub:9092"

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self._at: tuple[int, int] = (0, 0)

    def extent(self, topic: str) -> Extent:
        return Extent(topic, "id", Position(), Position())

    def producer(self) -> StubLog:
        return self

    def produce(self, _topic: str, *, value: bytes, partition: int, on_delivery: Any, **_: Any) -> None:
        self._at = partition, 40 + len(self.values)
        self.values.append(value)
        on_delivery(None, self)

    def partition(self) -> int:
        return self._at[0]

    def offset(self) -> int:
        return self._at[1]

    def flush(self, _seconds: float) -> int:
        return 0


@pytest.fixture
def declared(project: Path) -> Project:
    return projects.load(settings.load())


@pytest.fixture
def stand(declared: Project) -> Stand:
    """Four records in quarantine, one of them put right, and one of an attempt that was killed."""
    stand = Stand(declared.layout, "lines", decoder=decoder_id(declared.source("lines").as_json()))
    stand.attach(declared.store(declared.view("sales")).version)
    stand.commit(Bad(0, 1, "no at", EVIL), Bad(1, 4, "no at", b'{"country": "DE"}'), consumed=17)
    stand.commit(Bad(0, 9, "killed"), named=False)
    stand.commit(Bad(0, 2, "not UTF-8", b"\xff\x00"), Bad(0, 3, "no at", b"{}"), consumed=3)
    stand.supersede(RecordId(0, 3))
    return stand


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> StubLog:
    log = StubLog()
    monkeypatch.setattr(resend, "find_log", lambda _settings: log)
    return log


def test_an_empty_quarantine_is_said(run: Run, project: Path) -> None:
    assert run("quarantine", "list").out == "nothing is in quarantine\n"
    assert run("quarantine", "stats", "lines").out == "nothing ever came to quarantine\n"
    assert run("quarantine", "list", "--json").document == []
    assert not (project / "data").exists()


def test_list_groups_by_reason_and_shows_what_was_put_right_apart(run: Run, stand: Stand) -> None:
    # but for the three ages, which are the clock's
    lines = [" ".join(line.split()[:-6]) for line in run("quarantine", "list").out.splitlines()]
    assert lines == [
        "source reason",
        "lines no at 2 0@1 1@4",
        "lines not UTF-8 1 0@2 0@2",
        "",
        "",
        "source reason",
        "lines no at 1 0@3 0@3",
    ]
    document = run("quarantine", "list", "lines", "--json").document
    assert [(g["reason"], g["records"], g["put_right"], g["first"]) for g in document] == [
        ("no at", 2, False, "0@1"),
        ("not UTF-8", 1, False, "0@2"),
        ("no at", 1, True, "0@3"),
    ]


def test_list_names_what_was_put_right_and_is_not_known_to_be_sent(run: Run, stand: Stand) -> None:
    assert "not known to be sent" not in run("quarantine", "list", "lines").out
    stand.supersede(RecordId(0, 1), RecordId(0, 2), sent=False)
    said = run("quarantine", "list", "lines").out
    assert "lines: put right and not known to be sent: 0@1, 0@2" in said
    assert "dovetail quarantine resend lines 0@1 --edit --again" in said


def test_show_tells_all_of_one_record_and_obeys_nothing_in_it(run: Run, stand: Stand) -> None:
    said = run("quarantine", "show", "lines", "0@1")
    assert said.out.splitlines() == [
        "   record  lines 0@1",
        "   reason  no at",
        "timestamp  2026-03-01T09:00:00+00:00",
        "committed  in seq 2, 2026-03-01T10:01:00+00:00",
        "      key  k",
        r'    value  {"country": "FR\x1b[31m", "quantity": 2}',
        "     next  dovetail quarantine resend lines 0@1 --edit",
    ]
    assert "value  hex ff00\n" in run("quarantine", "show", "lines", "0@2").out
    assert "state  put right in seq 4\n" in run("quarantine", "show", "lines", "0@3").out


def test_show_as_json_gives_every_byte_and_nothing_a_terminal_obeys(run: Run, stand: Stand) -> None:
    stand.commit(Bad(1, 6, "no at", "\x9b31m\u202e\x7f".encode()))
    said = run("quarantine", "show", "lines", "1@6", "--json")
    assert said.out.strip().isprintable()
    assert base64.b64decode(said.document["value_base64"]).decode() == said.document["value"] == "\x9b31m\u202e\x7f"


def test_a_long_record_is_shortened_unless_full(run: Run, stand: Stand) -> None:
    stand.commit(Bad(1, 6, value=b"x" * 5000))
    assert "x" * 2000 + "… (5,000 bytes)\n" in run("quarantine", "show", "lines", "1@6").out
    assert "x" * 5000 + "\n" in run("quarantine", "show", "lines", "1@6", "--full").out


def test_stats_are_shares_of_what_was_consumed(run: Run, stand: Stand) -> None:
    lines = [line.rstrip() for line in run("quarantine", "stats").out.splitlines()]
    assert lines == [
        "source  reason     records  of all  newest 100 commits  of those",
        "lines   no at            3  15.00%                   3    15.00%",
        "lines   not UTF-8        1   5.00%                   1     5.00%",
    ]
    assert run("quarantine", "stats", "--json").document[1]["of_all"] == 0.05


def test_export_writes_what_is_left_byte_for_byte(run: Run, stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    assert run("quarantine", "export", "lines", str(file), "--dry-run").out == (
        f"Would write 3 records to {file}. Nothing written.\n"
    )
    assert not file.exists()
    assert run("quarantine", "export", "lines", str(file)).out == (
        f"3 records written to {file}. Corrected, they go back by:\ndovetail quarantine resend lines --file {file}\n"
    )
    documents = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [base64.b64decode(d["value_base64"]) for d in documents] == [EVIL, b'{"country": "DE"}', b"\xff\x00"]
    assert run("quarantine", "export", "lines", "-", "--reason", "no at").out == "".join(
        f"{line}\n" for line in file.read_text().splitlines()[:2]
    )


def test_export_replaces_a_file_only_by_force_and_then_whole(run: Run, stand: Stand, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text("mine")
    said = run("quarantine", "export", "lines", str(file))
    assert (said.code, said.err) == (2, f"error  {file} is there already\n next  --force replaces it\n")
    assert file.read_text() == "mine"
    assert run("quarantine", "export", "lines", str(file), "--force", "--json").document["records"] == 3
    assert [f.name for f in tmp_path.glob("*bad*")] == ["bad.jsonl"]


def test_an_export_that_is_cut_short_leaves_nothing(
    run: Run, stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_held: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("dovetail.shared.quarantine.line", cut)
    assert run("quarantine", "export", "lines", str(tmp_path / "bad.jsonl")).code == 130
    assert [*tmp_path.glob("*bad*")] == []


def test_resend_by_column(run: Run, stand: Stand, log: StubLog) -> None:
    line = ("quarantine", "resend", "lines", "1@4", "--set", 'at="2026-03-01T09:00:00Z"')
    said = run(*line, "--dry-run")
    assert said.out == (
        '1@4  {"country": "DE", "at": "2026-03-01T09:00:00Z"}\nWould send 1 record to cli.lines. Nothing sent.\n'
    )
    assert (log.values, stand.ledger.last().seq) == ([], 4)
    said = run(*line)
    assert (said.out, said.err) == (
        "1@4 is put right: sent as 1@40\n1 record sent to cli.lines, all acknowledged\n",
        "",
    )
    assert log.values == [b'{"country": "DE", "at": "2026-03-01T09:00:00Z"}']
    assert stand.ledger.last().kind == "supersede"
    said = run(*line)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error  1@4 of lines was put right by an earlier resend\n"
        "  why  what is sent once more is counted once more, unless the source has an event_id\n"
        " next  --again sends it once more, for a resend that was cut short\n"
    )
    assert run(*line, "--again").code == 0
    assert len(log.values) == 2


def test_resend_every_record_of_a_reason(run: Run, stand: Stand, log: StubLog) -> None:
    stand.commit(Bad(0, 11, "no price", b"{}"), Bad(1, 14, "no price", b'{"at":1}'))
    said = run("quarantine", "resend", "lines", "--reason", "no price", "--set", "price=1.50", "--json")
    assert said.document == {
        "source": "lines",
        "topic": "cli.lines",
        "seq": 6,
        "records": [{"supersedes": "0@11", "record": "0@40"}, {"supersedes": "1@14", "record": "1@41"}],
        "sent": True,
    }


def test_resend_a_file_that_was_corrected(run: Run, stand: Stand, log: StubLog, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    run("quarantine", "export", "lines", str(file))
    assert run("quarantine", "resend", "lines", "--file", str(file)).out == (
        "Would send 0 records to cli.lines. Nothing sent.\n"
    )
    documents = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    documents[2]["value"] = GOOD
    file.write_bytes(b"\n".join(map(orjson.dumps, documents)))
    assert run("quarantine", "resend", "lines", "--file", str(file)).out.startswith("0@2 is put right: sent as 0@40\n")
    assert log.values == [GOOD.encode()]


def test_resend_in_an_editor(
    run: Run, stand: Stand, log: StubLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor.py"
    script.write_text(f"import sys, pathlib; pathlib.Path(sys.argv[1]).write_text({GOOD!r} + '\\n')")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
    assert run("quarantine", "resend", "lines", "0@1", "--edit").code == 0
    assert log.values == [GOOD.encode()]
    monkeypatch.setenv("EDITOR", "true")
    said = run("quarantine", "resend", "lines", "1@4", "--edit")
    assert (said.code, said.err.splitlines()[0]) == (2, "error  1@4 is as it was: there is nothing to send")


def test_what_is_probably_not_meant_is_told(run: Run, stand: Stand, log: StubLog) -> None:
    said = run("quarantine", "resend", "lines", "1@4", "--set", "quantity=3")
    assert said.err == "warning  there is no at: the record will go to quarantine\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say which records: P@O, --reason TEXT or --file FILE, one of them"),
        (["0@1", "--reason", "no at"], "say which records: P@O, --reason TEXT or --file FILE, one of them"),
        (["0@1"], "say how they are corrected: the same bytes would go to quarantine again"),
        (["--reason", "no at", "--edit"], "--edit corrects one record, P@O, and takes no --set"),
        (["--file", "-", "--set", "at=1"], "--file holds the corrections: it takes neither --edit nor --set"),
        (["0@1", "--set", "at"], "'at' is not COLUMN=JSON"),
        (["0@1", "--set", "att=1"], "unknown column 'att': did you mean 'at'? Known: at, country, price, quantity"),
        (["0@2", "--set", "at=1"], "0@2 is not a JSON object, so no column of it can be set"),
        (["0@9", "--set", "at=1"], "0@9 of lines is not in quarantine"),
        (
            ["zero", "--set", "at=1"],
            "'zero' is not a record: write partition@offset, as in 2@3141, or import:ID/FILE#ROW of an import",
        ),
        (["--reason", "nope", "--set", "at=1"], "no record of lines is in quarantine for 'nope'"),
        (["--file", "nowhere"], "nowhere cannot be read"),
    ],
)
def test_what_resend_refuses(run: Run, stand: Stand, log: StubLog, arguments: list[str], says: str) -> None:
    said = run("quarantine", "resend", "lines", *arguments)
    assert (said.code, said.out, said.err.splitlines()[0]) == (2, "", f"error  {says}")
    assert (log.values, stand.ledger.last().seq) == ([], 4)


def test_a_version_that_decodes_otherwise_is_asked_of_spark(
    run: Run, stand: Stand, log: StubLog, declared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(resend, "start_spark", lambda *_, **__: "spark")
    monkeypatch.setattr(
        "dovetail.shared.resend.readable", lambda _, held, spark: asked.append(spark) or [h.place for h in held]
    )
    stand.decoder = "as an earlier declaration"
    stand.commit(Bad(1, 8, "no at", b"{}"))
    said = run("quarantine", "resend", "lines", "1@8", "--set", "at=1", "--dry-run")
    version = declared.version(declared.view("sales"))
    assert (said.code, asked) == (2, ["spark"])
    assert said.err.startswith(f"error  1@8 of lines must not be sent again: {version} counts it as it is\n")


@pytest.mark.parametrize("verb", [("list", "sale"), ("show", "lines", "7@7"), ("stats", "sale")])
def test_what_is_not_there_is_exit_2(run: Run, stand: Stand, verb: tuple[str, ...]) -> None:
    said = run("quarantine", *verb)
    assert (said.code, said.out) == (2, "")


def test_a_file_that_cannot_be_written_is_said(run: Run, stand: Stand) -> None:
    said = run("quarantine", "export", "lines", "no/folder/bad.jsonl")
    assert said.err.startswith("error  no/folder/bad.jsonl cannot be written\n")
