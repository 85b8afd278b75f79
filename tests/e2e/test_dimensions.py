"""Dimensions from where they are kept to the answer: a compacted topic, and a row corrected in PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from postgres import binaries, postgres
from serving_stand import Stand, ViewSpec, event, serve

import dovetail as dv
from dovetail.batch.dimensions import refresh, refresh_all
from dovetail.shared import settings
from dovetail.shared.dimensions import Versions
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.project import Declared, Project

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java


@pytest.mark.long
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


@pytest.mark.skipif(binaries() is None, reason="upstream: PostgreSQL is not installed (apt-get install postgresql)")
def test_a_row_corrected_in_postgresql_shows_in_the_next_answers_and_an_older_receipt_gives_the_older_name(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_SECRET", "secret")
    (tmp_path / "dovetail.toml").write_text("")
    source = dv.source("orders", schema="product int, quantity int")
    question = {"by": "line", "measures": "pieces"}
    with postgres() as server:
        server.run("CREATE TABLE products (product int, line text)")
        server.run("INSERT INTO products VALUES (1, 'Cars'), (2, 'Boots')")
        given = dv.dimension(
            "products", key="product", jdbc=server.jdbc, table="products", user="tester", password="env:PG_SECRET"
        )
        view = dv.view("sales", source=source, keys=["product"], measures={"n": dv.count()}, dimensions=[given])
        declared = {"sales": Declared(view, "views", "sales")}
        project = Project(settings.load(tmp_path), {"orders": source}, declared, {"products": given})
        stand = Stand(project.layout.root)
        stand.attach(ViewSpec("sales"))
        stand.commit([event(product=1, quantity=3), event(product=2, quantity=4)])
        with serve(tmp_path, stand) as client:
            refresh_all(project, log_of_none(), spark)
            client.until(lambda: client.answered("sales", **question).status_code == 200)
            before = client.answered("sales", **question).json()
            assert before["rows"] == [{"line": "Boots", "pieces": 4}, {"line": "Cars", "pieces": 3}]
            server.run("UPDATE products SET line = 'Boats' WHERE product = 2")
            refresh_all(project, log_of_none(), spark)
            client.until(lambda: client.rows("sales", **question)[0]["line"] == "Boats")
            after = client.answered("sales", **question).json()
            assert after["receipt"]["dimensions"]["products"]["version"] == 2
            assert after["receipt"]["runs"] == before["receipt"]["runs"]
            then = client.get("sales", as_of=before["receipt"]["id"], **question).json()
            assert then["rows"] == before["rows"]
            server.stop()
            told: list[str] = []
            refresh_all(project, log_of_none(), spark, tell=told.append)
            assert told[0].endswith("version 2 goes on serving")
            assert client.answered("sales", **question).json()["rows"] == after["rows"]


def log_of_none() -> Log:
    return Log("", {})
