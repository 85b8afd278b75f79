"""A project with a broker of its own for one benchmark, and percentiles."""

from __future__ import annotations

import json
import socket
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from dovetail.cli.stack import Stack, stack
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.broker import Broker
from dovetail.shared.log import Log
from dovetail.shared.project import Project

TOML = """
views = ["views.py"]
[kafka]
bootstrap = "{bootstrap}"
partitions = 4
[spark]
master = "local[2]"
driver_memory = "3g"
[serving]
port = {port}
[archive]
trigger = "1 second"
"""


@dataclass(frozen=True)
class Bed:
    """What a benchmark runs on."""

    folder: Path
    project: Project
    log: Log
    processes: Stack
    port: int


@contextmanager
def bed(folder: Path, views: str) -> Iterator[Bed]:
    """A broker and a project whose views.py is `views`; the layers are the benchmark's to start."""
    with Broker.start(folder / "kafka", port=free_port()) as broker, stack(folder, folder / "logs") as (processes, _):
        port = free_port()
        (folder / "dovetail.toml").write_text(TOML.format(bootstrap=broker.bootstrap, port=port))
        (folder / "views.py").write_text(views)
        project = projects.load(settings.load(folder))
        log = Log(broker.bootstrap, {})
        for source in project.sources.values():
            log.create(source.topic, partitions=4)
        yield Bed(folder, project, log, processes, port)


def produce(producer: Producer, topic: str, value: dict[str, Any], key: str | None = None) -> None:
    """Sends a record, as soon as the producer has room for it."""
    while True:
        try:
            return producer.produce(topic, key=key, value=json.dumps(value))
        except BufferError:
            producer.poll(0.1)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def percentile(values: list[float], p: int) -> float:
    """The `p`-th percentile of at least two values."""
    return statistics.quantiles(sorted(values), n=100, method="inclusive")[p - 1]
