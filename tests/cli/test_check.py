"""`dovetail check`: every problem with the user's file and line, and no Java."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.cli import start

from .conftest import VIEWS, Run


def views(project: Path, text: str) -> None:
    (project / "views.py").write_text(text)


def line_of(project: Path, text: str) -> int:
    lines = (project / "views.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_a_sound_project_is_said_line_by_line(run: Run, project: Path) -> None:
    said = run("check")
    assert (said.code, said.err) == (0, "")
    *lines, last = said.out.splitlines()
    assert lines == [
        "ok    lines             json, 4 columns, event time at",
        "ok    sales             by country per 1h: lines revenue",
    ]
    assert last.startswith("0 problems in ")
    assert last.endswith(" s, no Java started")


def test_json_lists_what_was_found(run: Run, project: Path) -> None:
    assert run("check", "--json").document == {"sources": ["lines"], "views": ["sales"], "problems": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('return lines.groupBy("country").count()', ".groupBy(): a transform works row by row"),
        ('return lines.withColumn("now", F.current_timestamp())', "F.current_timestamp: batch would get another value"),
        ('return lines.orderBy("country")', ".orderBy(): "),
        ('return lines.withColumn("a", F.colum("b"))', "pyspark.sql.functions has no 'colum': did you mean 'column'?"),
        ('return lines.where(F.col("at") > limit)', "unknown name 'limit'"),
    ],
)
def test_a_transform_that_cannot_be_is_refused_at_its_line(run: Run, project: Path, body: str, message: str) -> None:
    views(project, VIEWS.replace('return lines.withColumn("amount", F.col("quantity") * 2)', body))
    said = run("check")
    assert said.code == 1
    found = [line for line in said.out.splitlines() if line.startswith("!  sales  doubled: ")]
    assert any(message in line for line in found), said.out
    assert all(line.endswith(f"(views.py:{line_of(project, body)})") for line in found)
    assert "ok    sales" not in said.out


def test_two_measures_of_one_name_are_told_at_the_second(run: Run, project: Path) -> None:
    views(project, VIEWS.replace("measures={", 'measures={\n"lines": dv.sum("quantity"),\n'))
    said = run("check")
    assert said.code == 1
    line = line_of(project, '"lines": dv.count()')
    assert f"two measures are called 'lines': only the last would count  (views.py:{line})" in said.out


def test_a_clock_in_a_measure_is_refused_too(run: Run, project: Path) -> None:
    views(project, VIEWS.replace("dv.count()", 'dv.count(where="at > now()")'))
    said = run("check")
    assert said.code == 1
    assert "!  sales  measure lines: now in 'at > now()': batch would get another value" in said.out


def test_a_transform_of_the_library_is_refused_at_the_line_that_declares_it(run: Run, project: Path) -> None:
    derived = 'dv.transforms.derive({"amount": "quantity * rand()"})'
    views(project, VIEWS.replace("transform=[doubled]", f"transform=[\n    doubled,\n    {derived},\n]"))
    said = run("check")
    assert said.code == 1
    assert "!  sales  derive: rand in 'quantity * rand()': batch would get another value" in said.out
    assert f"(views.py:{line_of(project, 'derive')})" in said.out


def test_columns_are_checked_where_no_transform_can_make_them(run: Run, project: Path) -> None:
    plain = VIEWS.replace("transform=[doubled], ", "").replace('keys=["country"]', 'keys=["contry"]')
    views(project, plain.replace('dv.sum("price")', 'dv.sum("prise")'))
    said = run("check", "--json")
    assert said.code == 1
    assert [(p["subject"], p["message"], p["where"]) for p in said.document["problems"]] == [
        (
            "sales",
            "unknown key 'contry': did you mean 'country'? Known: at, country, price, quantity",
            f"views.py:{line_of(project, 'sales = dv.view(')}",
        ),
        (
            "sales",
            "unknown column in measure revenue: 'prise': did you mean 'price'? Known: at, country, price, quantity",
            f"views.py:{line_of(project, 'sales = dv.view(')}",
        ),
    ]


@pytest.mark.parametrize(
    ("replaced", "by", "message", "at"),
    [
        ('"1h"', '"7h"', "a bucket of '7h' neither divides a day nor is whole days", None),
        ("price decimal(10,2)", "price money", "column price: unknown type 'money'", "lines = dv.source("),
        ("dv.count()", "dv.cuont()", "views.py cannot be imported: AttributeError", "dv.cuont"),
        ("keys=", "kays=", "view: unknown argument 'kays': did you mean 'keys'?", "sales = dv.view("),
        ("import dovetail as dv", "import dovetale as dv", "views.py cannot be imported: Mod", "dovetale"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_a_problem_with_its_place(
    run: Run, project: Path, replaced: str, by: str, message: str, at: str | None
) -> None:
    views(project, VIEWS.replace(replaced, by))
    said = run("check")
    assert said.code == 1
    assert said.out.startswith(f"!  views.py  {message}")
    if at:
        assert f"(views.py:{line_of(project, at)})" in said.out
    assert "\n1 problem in " in said.out


def test_a_rule_that_cannot_be_is_a_problem_at_its_own_line(run: Run, project: Path) -> None:
    rules = 'rules=[\n        dv.rule("quantity > 0"),\n        dv.rule(RULE),\n    ],\n'
    ruled = VIEWS.replace('at timestamp",\n)', f'at timestamp",\n    {rules})')
    for rule, message in {
        '"quantity >"': "rule 'quantity >' does not parse: it ends with '>'",
        '"quantiy > 0"': "rule 'quantiy > 0': unknown column 'quantiy': did you mean 'quantity'?",
        '"at < now()"': "rule 'at < now()': now: batch would get another value",
        '"quantity > 0"': "two rules are called 'quantity > 0', the first at views.py:15",
    }.items():
        views(project, ruled.replace("RULE", rule))
        said = run("check")
        assert said.code == 1
        assert said.out.startswith(f"!  views.py  {message}")
        assert "(views.py:16)" in said.out
    views(project, ruled.replace("RULE", '"price < 100"'))
    assert "ok    lines             json, 4 columns, event time at, 2 rules" in run("check").out


def test_neither_java_nor_a_session_is_started(project: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "def refuse(*a, **k): raise SystemExit('a process was started')\n"
        "subprocess.Popen.__init__ = refuse\n"
        "from dovetail.cli import main\n"
        "code = main(['check'])\n"
        "from pyspark.sql import SparkSession\n"
        "from pyspark import SparkContext\n"
        "assert SparkContext._gateway is None and SparkContext._active_spark_context is None\n"
        "assert SparkSession._instantiatedSession is None\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 problems in " in done.stdout


def test_what_a_check_does_not_need_is_not_imported(project: Path) -> None:
    heavy = "pyarrow deltalake duckdb numpy pandas fastapi httpx kafka confluent_kafka".split()
    script = (
        "import sys\nfrom dovetail.cli import main\n"
        f"assert main(['check', '--json']) == 0\nprint([m for m in {heavy} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True)
    assert (done.stdout.splitlines()[1:], done.stderr) == (["[]"], "")


def test_without_its_broker_there_is_nothing_to_hold_it_against_and_no_engine_is_started(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "start_spark", lambda *_, **__: pytest.fail("an engine was started"))
    (project / "dovetail.toml").write_text("")
    said = run("check", "--against-topic")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error  the embedded Kafka broker of this project does not run\n")


def test_the_size_of_a_sample_is_asked_for_with_the_topic_only(run: Run, project: Path) -> None:
    said = run("check", "--sample", "10")
    assert said.code == 2
    assert said.err.endswith("next  dovetail check --against-topic\n")


def test_nothing_is_written(run: Run, project: Path) -> None:
    run("check")
    assert {f.name for f in project.iterdir()} <= {"dovetail.toml", "views.py", "__pycache__"}
