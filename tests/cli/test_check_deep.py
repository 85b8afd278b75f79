"""`dovetail check --deep`: what only the engine can say, with the user's file and line."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest

from dovetail.torture.processes import jvms

pytestmark = pytest.mark.java
GATEWAY = "org.apache.spark.deploy.SparkSubmit"
"""The class that Spark's JVM runs. It is not the first Java that is started; the one that writes its command names
it, too.
"""
LAUNCHER = "org.apache.spark.launcher.Main"

VIEWS = """
import dovetail as dv
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

lines = dv.source("lines", schema="country string, quantity int, at timestamp", event_time="at")


def doubled(lines: DataFrame) -> DataFrame:
    return lines.withColumn("amount", F.col("quantity") * 2)


def misspelt(lines: DataFrame) -> DataFrame:
    return lines.withColumn("amount", F.col("quantiy") * 2)


good = dv.view("good", source=lines, transform=doubled, keys=["country"], bucket="1h", measures={"n": dv.sum("amount")})
column = dv.view("column", source=lines, transform=misspelt, measures={"n": dv.count()})
keyed = dv.view("keyed", source=lines, transform=doubled, keys=["contry"], measures={"n": dv.sum("amonut")})
timed = dv.view("timed", source=lines, transform=doubled, measures={"n": dv.count(where="amuont > 1")})
ruled = dv.source("ruled", schema="n int", rules=[
    dv.rule("abs(n) > 0"),
    dv.rule("abs(m) > 0"),
    dv.rule("n + 1", name="no condition"),
])
judged = dv.view("judged", source=ruled, measures={"n": dv.count()})
library = dv.view("library", source=lines, transform=dv.transforms.rename({"contry": "x"}), measures={"n": dv.count()})
typed = dv.view("typed", source=lines, transform=doubled, measures={"n": dv.sum("to_date(country)")})
"""


@pytest.mark.long
def test_each_view_is_folded_and_what_does_not_fit_is_told(project: Path) -> None:
    (project / "views.py").write_text(VIEWS)
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "check", "--deep", "--json"], cwd=project, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    document = orjson.loads(done.stdout)
    place = {line.split(" ")[0]: n for n, line in enumerate(VIEWS.splitlines(), start=1)}
    body = next(n for n, line in enumerate(VIEWS.splitlines(), start=1) if "quantiy" in line)
    columns = "amount, at, country, quantity"
    assert document["views"] == ["good"]
    unfit, not_true, *named, typed = [(p["subject"], p["message"], p["where"]) for p in document["problems"]]
    place |= {"abs(m)": place["ruled"] + 2, "n + 1": place["ruled"] + 3}
    assert unfit == ("source ruled", "rule 'abs(m) > 0': unknown column 'm'. Known: n", f"views.py:{place['abs(m)']}")
    assert not_true[:2] == ("source ruled", "rule 'no condition': it gives int, not true or false")
    assert not_true[2] == f"views.py:{place['n + 1']}"
    assert named == [
        (
            "column",
            "misspelt: unknown column 'quantiy': did you mean 'quantity'? Known: at, country, quantity",
            f"views.py:{body}",
        ),
        (
            "keyed",
            f"unknown key 'contry': did you mean 'country'? Known: {columns}",
            f"views.py:{place['keyed']}",
        ),
        (
            "keyed",
            f"unknown column in measure n: 'amonut': did you mean 'amount'? Known: {columns}",
            f"views.py:{place['keyed']}",
        ),
        (
            "timed",
            f"measure n: unknown column 'amuont': did you mean 'amount'? Known: {columns}",
            f"views.py:{place['timed']}",
        ),
        (
            "library",
            "rename: unknown column 'contry': did you mean 'country'? Known: at, country, quantity",
            f"views.py:{place['library']}",
        ),
    ]
    assert typed[0] == "typed"
    assert typed[1].startswith("measure n: sum of ")
    assert typed[1].endswith(" is not a number")
    assert typed[2] == f"views.py:{place['typed']}"
    assert "Traceback" not in done.stderr
    assert "QueryContextLogger" not in done.stderr


def test_a_jvm_that_is_killed_is_said_and_no_crash(project: Path) -> None:
    command = [sys.executable, "-m", "dovetail", "check", "--deep"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as checking:
        # Killed as it starts, it is started once more: without the archive of its classes, which may be at fault.
        while checking.poll() is None:
            _kill_gateways(checking.pid)
            time.sleep(0.02)
        _, said = checking.communicate(timeout=60)
    assert checking.returncode == 3, said
    assert said.startswith("error  Spark's JVM ended, or could not begin\n")


def _kill_gateways(pid: int) -> None:
    for process in jvms(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if GATEWAY in words and LAUNCHER not in words:
                process.kill()
