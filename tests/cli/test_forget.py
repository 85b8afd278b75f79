"""`dovetail forget`: who may be named and how, what it says, and that the audit log says who did it, never to whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dovetail.batch import forget as rounds
from dovetail.batch.forget import Found
from dovetail.cli import forget
from dovetail.shared.tables import Layout

from .conftest import VIEWS, Run

GONE = "alice-of-wonderland"


@pytest.fixture
def named(project: Path) -> Path:
    """The project, whose source says whom its records are about."""
    (project / "views.py").write_text(VIEWS.replace('event_time="at",', 'event_time="at", subject="country",'))
    return project


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a round was asked for; none is done, and it has found something left in one file."""
    asked = list[Any]()

    class Round:
        def __init__(self, _: Any, source: Any, values: Any, *__: Any, **___: Any) -> None:
            asked.extend([source.name, values])

        def look(self) -> Found:
            return Found(7, ("sales",))

        def run(self, *, readers: float) -> Found:
            asked.append(readers)
            left = {"access/a.json": "bytes"} if GONE in asked[1] else {}
            return Found(7, ("sales",), 12, 345, left, {"kafka/0.log": "bytes"})

    monkeypatch.setattr(rounds, "Forgetting", Round)
    monkeypatch.setattr(forget, "start_spark", lambda *_, **__: None)
    return asked


def test_a_source_that_names_no_subject_is_refused_with_what_to_declare(run: Run, project: Path) -> None:
    said = run("forget", "lines", "country=FR")
    assert said.code == 2
    assert 'dv.source(…, subject="customer")' in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["price=3"], "lines names subjects by country, not by price"),
        (["FR"], "a subject is COLUMN=VALUE"),
        (["country="], "a subject is COLUMN=VALUE"),
        ([], "nobody is named"),
        (["--from", "nothing.txt"], "nothing.txt cannot be read"),
    ],
)
@pytest.mark.usefixtures("named")
def test_what_names_nobody_is_refused(run: Run, arguments: list[str], says: str) -> None:
    said = run("forget", "lines", *arguments)
    assert (said.code, says in said.err) == (2, True), said.err


@pytest.mark.usefixtures("named")
def test_a_dry_run_counts_and_writes_nothing(run: Run, given: list[Any], project: Path) -> None:
    said = run("forget", "lines", "country=FR", "--dry-run")
    assert said.out.splitlines() == [
        "7 records in the master, and 1 view: sales would be computed anew.",
        "Nothing written.",
    ]
    assert given == ["lines", ["FR"]]
    assert not Layout(project / "data").access.exists()


@pytest.mark.usefixtures("named")
def test_what_was_done_is_said_and_audited_without_the_id(run: Run, given: list[Any], project: Path) -> None:
    (project / "ids.txt").write_text(f"{GONE}\n\nbob\n")
    said = run("forget", "lines", "country=bob", "--from", "ids.txt", "--readers", "2s", "--json")
    assert (said.code, given) == (1, ["lines", ["bob", GONE], 2.0])
    assert said.document == {
        "source": "lines", "subjects": 2, "forgotten": True, "seq": 12, "records": 7, "views": ["sales"], "files": 345,
        "left": {"access/a.json": "bytes"}, "kafka": {"kafka/0.log": "bytes"},
    }  # fmt: skip
    kept = (Layout(project / "data").access / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in kept.splitlines()]
    assert [line["what"] for line in lines] == ["forget: 2 subjects of lines", "forgotten: 2 subjects of lines"]
    assert (lines[1]["seq"], lines[1]["records"], lines[1]["left"]) == (12, 7, 1)
    assert all(line["who"] for line in lines)
    assert GONE not in kept
    assert "bob" not in kept


@pytest.mark.usefixtures("named", "given")
def test_where_nothing_is_left_the_exit_code_is_good(run: Run) -> None:
    said = run("forget", "lines", "country=bob")
    assert (said.code, said.out.splitlines()[-1]) == (0, "Nothing is left.")
    assert "Kafka still holds records of theirs, in 1 file" in said.err
