"""Dimensions read from files, from a topic and from a real PostgreSQL; what cannot be read keeps its last version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from postgres import Postgres, binaries, postgres

import dovetail as dv
from dovetail.batch.dimensions import refresh, refresh_all
from dovetail.shared import settings
from dovetail.shared.dimensions import Versions
from dovetail.shared.errors import DeclarationError, Mend, ServiceMissing, SettingsError
from dovetail.shared.log import Log
from dovetail.shared.project import Project

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.java
NO_LOG = Log("", {})
CSV = 'code,name,price\n"01","Coupe, red",9.50\n02,Ship,\n'


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    def of(*dimensions: dv.Dimension) -> Project:
        (tmp_path / "dovetail.toml").write_text("")
        return Project(settings.load(tmp_path), {}, {}, {d.name: d for d in dimensions})

    return of


def rows(project: Project, name: str) -> list[dict[str, Any]]:
    versions = Versions(project.layout, name)
    last = versions.last()
    assert last is not None
    return versions.read(last).to_pylist()


def test_a_csv_is_text_unless_a_schema_says_otherwise(tmp_path: Path, project: Any, spark: SparkSession) -> None:
    (tmp_path / "products.csv").write_text(CSV)
    plain = dv.dimension("plain", key="code", path="products.csv")
    typed = dv.dimension("typed", key="code", path="products.csv", schema="code string, price decimal(10,2)")
    given = project(plain, typed)
    refresh_all(given, NO_LOG, spark)
    assert rows(given, "plain") == [
        {"code": "01", "name": "Coupe, red", "price": "9.50"},
        {"code": "02", "name": "Ship", "price": None},
    ]
    assert [str(r["price"]) for r in rows(given, "typed")] == ["9.50", "None"]


@pytest.mark.parametrize("form", ["parquet", pytest.param("delta", marks=pytest.mark.long)])
def test_a_table_is_read_and_a_new_version_kept_when_it_changed(
    form: str, tmp_path: Path, project: Any, spark: SparkSession
) -> None:
    def write(name: str) -> None:
        frame = spark.createDataFrame([(1, name), (2, "Ship")], "code int, name string")
        frame.write.format(form).mode("overwrite").save(str(tmp_path / "products"))

    given = dv.dimension("products", key="code", path="products")
    write("Coupe")
    first = refresh(project(given), given, NO_LOG, spark)
    assert refresh(project(given), given, NO_LOG, spark) is None
    write("Roadster")
    second = refresh(project(given), given, NO_LOG, spark)
    assert first is not None
    assert second is not None
    assert (first.n, second.n) == (1, 2)
    assert rows(project(given), "products")[0] == {"code": 1, "name": "Roadster"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("code,name\n1,a\n1,b\n", "1 keys are repeated, such as 1"),
        ("code,name\n1,a\n,b\n", "1 rows have no code"),
        ("cod,name\n1,a\n", "unknown column 'code': did you mean 'cod'"),
    ],
)
def test_what_cannot_be_joined_is_refused_and_the_last_version_stays(
    text: str, says: str, tmp_path: Path, project: Any, spark: SparkSession
) -> None:
    given = dv.dimension("products", key="code", path="products.csv")
    (tmp_path / "products.csv").write_text("code,name\n7,kept\n")
    refresh(project(given), given, NO_LOG, spark)
    (tmp_path / "products.csv").write_text(text)
    with pytest.raises(Mend, match=says):
        refresh(project(given), given, NO_LOG, spark)
    assert rows(project(given), "products") == [{"code": "7", "name": "kept"}]
    assert says in Versions(project(given).layout, "products").standing()["problem"]
    told: list[str] = []
    refresh_all(project(given), NO_LOG, spark, tell=told.append)
    assert says in told[0]
    assert told[0].endswith("version 1 goes on serving")


def test_a_file_that_is_not_there_is_said(project: Any, spark: SparkSession) -> None:
    given = dv.dimension("products", key="code", path="no-such.csv")
    with pytest.raises(ServiceMissing, match=r"no-such\.csv is not there"):
        refresh(project(given), given, NO_LOG, spark)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("upstream: PostgreSQL is not installed (apt-get install postgresql)")
    with postgres() as server:
        server.run("CREATE TABLE products (code text, name text, price numeric(10,2))")
        server.run("INSERT INTO products VALUES ('01', 'Coupe', 9.50), ('02', 'Ship', NULL)")
        yield server


def test_a_table_in_postgresql_is_read_and_when_the_server_is_down_its_last_version_stays(
    database: Postgres, project: Any, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dv.dimension(
        "products", key="code", jdbc=database.jdbc, table="products", user="tester", password="env:PG_SECRET"
    )
    with pytest.raises(SettingsError, match="the variable PG_SECRET is not set"):
        refresh(project(given), given, NO_LOG, spark)
    monkeypatch.setenv("PG_SECRET", "wrong")
    with pytest.raises(ServiceMissing) as refused:
        refresh(project(given), given, NO_LOG, spark)
    assert "password authentication failed" in refused.value.why
    assert "wrong" not in str(refused.value)
    monkeypatch.setenv("PG_SECRET", "secret")
    refresh(project(given), given, NO_LOG, spark)
    assert [(r["code"], r["name"], str(r["price"])) for r in rows(project(given), "products")] == [
        ("01", "Coupe", "9.50"), ("02", "Ship", "None"),
    ]  # fmt: skip
    database.run("UPDATE products SET name = 'Roadster' WHERE code = '01'")
    changed = refresh(project(given), given, NO_LOG, spark)
    assert changed is not None
    assert changed.n == 2
    database.stop()
    with pytest.raises(ServiceMissing, match="dimension products cannot be read from jdbc:postgresql"):
        refresh(project(given), given, NO_LOG, spark)
    versions = Versions(project(given).layout, "products")
    assert rows(project(given), "products")[0]["name"] == "Roadster"
    assert "cannot be read" in versions.standing()["problem"]
    assert versions.standing()["at"] > 0
    database.start()
    assert refresh(project(given), given, NO_LOG, spark) is None
    assert versions.standing()["problem"] == ""


WRONG = {
    "give one of path, topic and jdbc": {},
    "jdbc and table go together": {"jdbc": "jdbc:postgresql://h/d"},
    "a topic needs a schema": {"topic": "products"},
    "'jdbc:oracle:x' is no jdbc:postgresql": {"jdbc": "jdbc:oracle:x", "table": "t"},
    "the password stands in the code": {"jdbc": "jdbc:postgresql://h/d", "table": "t", "password": "hunter2"},
    "its key code is not in its schema": {"path": "x.csv", "schema": "name string"},
    "is shorter than a second": {"path": "x.csv", "refresh": "10 ms"},
    "is not a length of time": {"path": "x.csv", "refresh": "soon"},
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_declared_wrongly_is_said_with_the_line(says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        dv.dimension("products", key="code", **WRONG[says])


def test_a_view_joins_dimensions_by_its_keys() -> None:
    source = dv.source("s", schema="code string")
    other = dv.dimension("other", key="product", path="x.csv")
    with pytest.raises(DeclarationError, match="looked up by product, which is no key of the view"):
        dv.view("v", source=source, keys=["code"], measures={"n": dv.count()}, dimensions=[other])
