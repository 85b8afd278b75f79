"""How long a start takes with the archive of Spark's classes, and without it: a session's, and the speed layer's."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.layers import Bed, bed
from dovetail.shared import engine

ROUNDS = 5
MADE_S, READY_S = 900, 180
WITH: dict[str, str] = {}
WITHOUT = {"DOVETAIL_CLASS_ARCHIVE": "off"}
VIEWS = """
import dovetail as dv

events = dv.source("events", topic="bench.start", schema="at timestamp, key string, amount int", event_time="at")
totals = dv.view("totals", source=events, keys=["key"], bucket="1h", measures={"sum": dv.sum("amount")})
"""
SESSION = """
import sys
from pathlib import Path
from dovetail.shared import engine, settings
spark = engine.start(settings.load(Path(sys.argv[1])), "bench")
spark.range(1000).write.format("delta").mode("overwrite").save(sys.argv[1] + "/table")
print(spark.read.format("delta").load(sys.argv[1] + "/table").groupBy().sum("id").collect())
"""


def run(folder: Path) -> list[dict[str, Any]]:
    with bed(folder, VIEWS) as on:
        make_archive(on)
        cases: dict[str, Callable[[Mapping[str, str]], float]] = {
            "a session, a Delta write and a read": lambda env: session(on, env),
            "`dovetail speed` until it runs": lambda env: speed(on, env),
        }
        return [row for name, case in cases.items() for row in rows(name, case)]


def make_archive(on: Bed) -> None:
    """Starts Spark until its archive is made; that start is in no figure, nor is the first of the view."""
    speed(on, WITHOUT)
    spark = engine.start(on.project.settings, "bench")
    for maker in threading.enumerate():
        if maker.name == "class archive":
            maker.join(MADE_S)
    spark.stop()


def rows(name: str, case: Callable[[Mapping[str, str]], float]) -> list[dict[str, Any]]:
    """Both ways by turns, so that whatever else the machine does falls on both."""
    took: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(ROUNDS):
        took["without"].append(case(WITHOUT))
        took["with"].append(case(WITH))
    without = statistics.median(took["without"])
    return [
        {
            "start of": name,
            "archive": which,
            "s (median)": statistics.median(took[which]),
            "fastest": min(took[which]),
            "slowest": max(took[which]),
            "of control": statistics.median(took[which]) / without,
        }
        for which in took
    ]


def session(on: Bed, env: Mapping[str, str]) -> float:
    began = time.monotonic()
    command = [sys.executable, "-c", SESSION, str(on.folder)]
    subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
    return time.monotonic() - began


def speed(on: Bed, env: Mapping[str, str]) -> float:
    began = time.monotonic()
    child = on.processes.start("speed", "speed", "--json", env=env)
    on.processes.wait("speed", child.ready.is_set, seconds=READY_S)
    took = time.monotonic() - began
    on.processes.children.pop("speed").stop()
    return took
