"""Views made of library transforms: what a stored version holds, and that both layers fold it alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from dovetail.shared import project as projects
from dovetail.shared import settings, versions
from dovetail.shared.engine import arrow
from dovetail.shared.errors import DeclarationError, IntegrityError, UserCodeError
from dovetail.shared.fold import ROWS, fold
from dovetail.shared.project import Project
from dovetail.speed.job import CONF

VIEWS = """
import dovetail as dv

T = dv.transforms
orders = dv.source(
    "orders",
    schema="id bigint, at string, customer struct<mail: string, land: string>, status string, "
    "items array<struct<code: string, n: string, price: string>>",
    event_time="ordered_at",
)
PRODUCTS = T.lookup("dims/products.csv", on="code", schema="code string, line string")


def with_product(rows):
    return rows.transform(PRODUCTS)


lines = dv.view(
    "lines",
    source=orders,
    transform=[
        T.explode_items("items"),
        T.flatten(),
        T.rename({"customer_land": "country", "n": "quantity", "at": "ordered_at"}),
        T.trim_empty_to_null(),
        T.standardise("status", case="title", unicode="NFKC"),
        T.map_values({"status": {"Canceled": "Cancelled"}}),
        T.cast({"quantity": "int", "price": "decimal(10,2)"}),
        T.parse_timestamps("ordered_at", formats=["yyyy-MM-dd HH:mm"], zone="Europe/Paris"),
        T.hash_columns("customer_mail", salt="not a secret"),
        T.mask("country", keep=1),
        T.bin("quantity", edges=[0, 10, 100], labels=["few", "many"], into="size"),
        with_product,
        T.derive({"amount": "quantity * price"}),
    ],
    keys=["line", "status", "size", "country"],
    bucket="1h",
    measures={"lines": dv.count(), "revenue": dv.sum("amount")},
)
PLACES = T.lookup("dims/places.csv", on="id")
elsewhere = dv.view("elsewhere", source=orders, transform=PLACES, measures={"n": dv.count()})
"""
PRODUCTS, PLACES = "code,line\nS18,Cars\nS24,Planes\n", "id,place\n1,Nantes\n"
Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A project with these views and products, imported anew."""
    folder = tmp_path / "project"
    (folder / "dims").mkdir(parents=True)
    path = list(sys.path)

    def write(views: str = VIEWS, *, products: str = PRODUCTS) -> Project:
        (folder / "dovetail.toml").write_text('views = ["views.py"]\n')
        (folder / "views.py").write_text(views)
        (folder / "dims" / "products.csv").write_text(products)
        (folder / "dims" / "places.csv").write_text(PLACES)
        sys.modules.pop("views", None)
        return projects.load(settings.load(folder))

    yield write
    sys.path[:] = path
    sys.modules.pop("views", None)


def stored(project: Project) -> versions.Bundle:
    """The bundle of `lines`, loaded as a layer does."""
    return versions.load(project.store(project.view("lines")).folder)


def test_a_stored_version_holds_what_its_own_lookups_read(make: Make) -> None:
    bundle = stored(make())
    held = [str(f.relative_to(bundle.folder)) for f in bundle.folder.rglob("*") if f.is_file()]
    assert sorted(held) == ["bundle.json", "code/dims/products.csv", "code/views.py"]
    assert bundle.view.name == "lines"


def test_a_changed_file_is_another_version_and_the_stored_one_keeps_its_own(make: Make) -> None:
    then = stored(make())
    now = stored(make(products=PRODUCTS.replace("Planes", "Aircraft")))
    assert then.version != now.version
    for bundle, line in [(then, "Planes"), (now, "Aircraft")]:
        [_, planes] = bundle.view.transform[-2].__globals__["PRODUCTS"].table.to_pylist()
        assert planes == {"code": "S24", "line": line}


def test_a_file_that_changes_between_declaration_and_store_is_stored_as_it_was(make: Make) -> None:
    project = make()
    (project.settings.folder / "dims" / "products.csv").write_text("code,line\n")
    bundle = stored(project)
    assert (bundle.folder / "code" / "dims" / "products.csv").read_text() == PRODUCTS
    assert bundle.view


def test_a_stored_file_that_is_not_what_its_version_says_is_refused(make: Make) -> None:
    bundle = stored(make())
    (bundle.folder / "code" / "dims" / "products.csv").write_text("code,line\nS18,Ships\n")
    with pytest.raises(IntegrityError, match="is not what its name says"):
        _ = bundle.view


def test_a_stored_file_that_is_gone_is_told(make: Make) -> None:
    bundle = stored(make())
    (bundle.folder / "code" / "dims" / "products.csv").unlink()
    with pytest.raises(DeclarationError, match=r"products\.csv is not there"):
        _ = bundle.view


def test_a_file_outside_the_project_is_not_stored(make: Make, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(PRODUCTS)
    project = make(VIEWS.replace('"dims/products.csv"', '"../products.csv"'))
    with pytest.raises(DeclarationError, match=r"products\.csv is not under the project's folder"):
        stored(project)


def test_a_line_moved_is_the_same_version(make: Make) -> None:
    before = stored(make()).version
    assert stored(make("\n\n" + VIEWS)).version == before


ORDERS = [
    (1, "2026-03-29 01:59", ("ada@example.org", " FR "), " CANCELED ", [("S18", "3", "1.10"), ("S24", "12", " 2 ")]),
    (2, "2026-03-29 03:00", ("bob@example.org", "BE"), "canceled", [("S18", "1", "0.05"), ("S99", "1", "1")]),
    (3, "soon", None, None, [("", "x", "1"), (None, "7", None)]),
    (4, "2026-03-29 03:30", ("", ""), "\uff33hipped", []),
    (5, "2026-03-29 03:30", ("", ""), "\uff33hipped", [("S24", "1", "1"), ("S24", "1", "1")]),
]
FOLDED = {
    ("Cars", "Cancelled", "few", "*R", 0): (1, "3.30"),
    ("Planes", "Cancelled", "many", "*R", 0): (1, "24.00"),
    ("Cars", "Cancelled", "few", "*E", 1): (1, "0.05"),
    (None, "Cancelled", "few", "*E", 1): (1, "1.00"),
    (None, None, None, None, None): (1, None),
    (None, None, "few", None, None): (1, None),
    ("Planes", "Shipped", "few", None, 1): (2, "2.00"),
}


def told(rows: list[dict], bundle: versions.Bundle) -> dict[tuple, tuple]:
    """Count and sum of each group, with its bucket as the hour of the day."""
    [revenue] = bundle.measures["revenue"].states
    merged: dict[tuple, list] = {}
    for row in rows:
        hour = row["_bucket"] and row["_bucket"].hour
        merged.setdefault((*[row[key] for key in bundle.keys], hour), []).append((row[ROWS], row[revenue.column]))
    sums = {key: revenue.kind.merge_values([value for _, value in parts]) for key, parts in merged.items()}
    return {key: (sum(n for n, _ in parts), sums[key] and str(sums[key])) for key, parts in merged.items()}


@pytest.mark.java
@pytest.mark.parametrize("speed", [False, True], ids=["batch", "speed"])
def test_both_layers_fold_a_chain_of_transforms_to_the_same_states(
    make: Make, spark: SparkSession, speed: bool
) -> None:
    bundle = stored(make())
    make(products="code,line\n")  # what the working tree holds meanwhile has no part in it
    there = {name: spark.conf.get(name) for name in CONF if name.startswith("spark.sql.")}
    try:
        for name in there if speed else ():
            spark.conf.set(name, CONF[name])
        pieces = [ORDERS[:1], ORDERS[1:4], ORDERS[4:]] if speed else [ORDERS]
        frames = [spark.createDataFrame(piece, bundle.view.source.schema) for piece in pieces]
        folded = [row for frame in frames for row in arrow(fold(frame, bundle)).to_pylist()]
    finally:
        for name, value in there.items():
            spark.conf.set(name, value)
    assert told(folded, bundle) == FOLDED


@pytest.mark.java
def test_the_micro_batches_of_a_stream_are_folded_too(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    bundle, folded = stored(make()), []
    schema = bundle.view.source.schema
    spark.createDataFrame(ORDERS, schema).coalesce(1).write.json(str(tmp_path / "orders"))
    query = (
        spark.readStream.schema(schema)
        .json(str(tmp_path / "orders"))
        .writeStream.foreachBatch(lambda rows, _: folded.extend(arrow(fold(rows, bundle)).to_pylist()))
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(60)
    assert told(folded, bundle) == FOLDED


@pytest.mark.java
def test_a_column_that_the_rows_lack_stops_the_fold_with_its_name(make: Make, spark: SparkSession) -> None:
    bundle = stored(make(VIEWS.replace('T.mask("country"', 'T.mask("contry"')))
    rows = spark.createDataFrame(ORDERS, bundle.view.source.schema)
    with pytest.raises(UserCodeError, match="mask: unknown column 'contry': did you mean 'country'"):
        fold(rows, bundle)
