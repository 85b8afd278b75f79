"""Every statement on the page on Trino gives the answer under it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import T0, ViewSpec, event
from trino_server import running
from trino_stand import Lake

from dovetail.shared.dimensions import Joins, Versions

pytestmark = [pytest.mark.long, pytest.mark.java, pytest.mark.timeout(900)]
PAGE = (Path(__file__).parents[2] / "docs" / "trino.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```sql\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BATCH = [("FR", 1, 1, 10, 2), ("FR", 1, 26, 20, 5), ("FR", 2, 28, 10, 2), ("DE", 1, 30, 20, 1), ("DE", 2, 31, 10, 2)]
SPEED = [("FR", 1, 3, 20, 1), (None, 3, 60, 10, 2)]
"""Country, product, hour, amount and pieces of the records in a run, and of those above its cut."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with running(tmp_path_factory.mktemp("trino")) as server:
        found = Lake(tmp_path_factory.mktemp("page"), server.url)
        found.stand.attach(ViewSpec("sales"))
        names = pa.table({"product": ["1", "2"], "vendor": ["Min Lin", "Classic"]})
        Versions(found.stand.layout, "products").add(names, key="product")
        Joins(found.stand.layout, "sales").set(["products"])
        _sold(found, BATCH)
        found.stand.batch("sales")
        found.sync()
        _sold(found, SPEED)
        yield found


def test_every_statement_has_its_answer() -> None:
    assert len(EXAMPLES) == PAGE.count("```sql") == PAGE.count("```text") >= 4


@pytest.mark.parametrize(("statement", "answer"), EXAMPLES)
def test_a_statement_gives_the_answer_under_it(lake: Lake, statement: str, answer: str) -> None:
    rows = lake.rows(statement.replace("lake.dovetail", "{s}"))
    assert [line.split() for line in answer.splitlines()][1:] == [" ".join(map(_shown, row)).split() for row in rows]


def _sold(lake: Lake, records: list[tuple[Any, ...]]) -> None:
    lake.stand.commit(
        [
            event(country=c, product=p, ordered_at=T0 + dt.timedelta(hours=h), amount=Decimal(a), quantity=q)
            for c, p, h, a, q in records
        ]
    )


def _shown(value: Any) -> str:
    return "null" if value is None else value.isoformat() if isinstance(value, dt.datetime) else str(value)
