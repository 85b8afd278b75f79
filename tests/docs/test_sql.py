"""Every statement on the page on SQL gives the answer under it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_stand import T0, ViewSpec, event
from sql_stand import OfCancelled, Views

from dovetail.shared.errors import QueryError

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```sql\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SOLD = [("FR", 1, 1), ("FR", 2, 26), ("FR", 1, 28), ("DE", 1, 48), ("DE", 3, 3), (None, 2, 4)]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    records = [event(country=c, product=p, ordered_at=T0 + dt.timedelta(hours=h)) for c, p, h in SOLD]
    records[0]["cancelled"] = True
    views = Views(tmp_path_factory.mktemp("page") / "data", [ViewSpec("sales"), OfCancelled("returns")], records)
    yield views
    views.close()


def test_every_statement_has_its_answer() -> None:
    assert len(EXAMPLES) == PAGE.count("```sql") == PAGE.count("```text") >= 6


@pytest.mark.parametrize(("statement", "answer"), EXAMPLES)
def test_a_statement_gives_the_answer_under_it(views: Views, statement: str, answer: str) -> None:
    assert [line.split() for line in answer.splitlines()] == [line.split() for line in _said(views, statement)]


def _said(views: Views, statement: str) -> list[str]:
    try:
        found = views.answered(statement).table
    except QueryError as error:
        return [f"error {error.what}", f"next {error.next}"]
    return [" ".join(found.column_names), *(" ".join(map(_shown, row.values())) for row in found.to_pylist())]


def _shown(value: Any) -> str:
    return "null" if value is None else value.isoformat() if isinstance(value, dt.datetime) else str(value)
