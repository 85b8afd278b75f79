"""A dimension kept in a compacted topic: the last record of each key counts, and a null takes it away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dovetail as dv
from dovetail.batch.dimensions import refresh
from dovetail.shared import settings
from dovetail.shared.dimensions import Versions
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.project import Project

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java


def test_the_last_record_of_each_key_counts(log: Log, spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "dovetail.toml").write_text("")
    given = dv.dimension("products", key="code", topic="dimension.products", schema="code string, name string")
    project = Project(settings.load(tmp_path), {}, {}, {"products": given})
    log.create("dimension.products", partitions=3)
    producer = log.producer()

    def send(code: str, row: dict[str, Any] | str | None) -> None:
        value = row if row is None or isinstance(row, str) else json.dumps(row)
        producer.produce("dimension.products", key=code, value=value)

    for code, name in (("a", "Coupe"), ("b", "Ship"), ("a", "Roadster"), ("c", "Tram")):
        send(code, {"code": code, "name": name})
    send("b", None)
    producer.flush()
    first = refresh(project, given, log, spark)
    versions = Versions(project.layout, "products")
    assert first is not None
    assert versions.read(first).to_pylist() == [{"code": "a", "name": "Roadster"}, {"code": "c", "name": "Tram"}]
    assert refresh(project, given, log, spark) is None
    send("d", "no JSON")
    producer.flush()
    with pytest.raises(ServiceMissing, match=r"products cannot be read from dimension\.products"):
        refresh(project, given, log, spark)
    assert versions.last() == first
