"""The shop, exact from its first record, and its questions: before there is a cut, all below it, and across it.

One system runs through all three; what it answered is kept, and each test looks at one thing in it.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from e2e_oracle import Oracle, report
from e2e_system import System
from shop_truth import QUESTIONS, SHOP, asked, told

from dovetail.shared.log import Log
from dovetail.shared.position import Position

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(400)]

MOMENTS = ("before a cut", "below it", "across it")


@dataclass(frozen=True)
class Moment:
    """What had been sent, and what each question was answered."""

    sent: list[Any]
    answers: dict[str, Any]


@pytest.fixture(scope="module")
def moments(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Moment]:
    """Every group of both views is held against the truth at each moment too."""
    moments = dict[str, Moment]()
    folder = tmp_path_factory.mktemp("shop") / "shop"
    with System.create(SHOP, folder, log, topic="shop.fact-orders.test", partitions=2) as shop:
        feed = order_lines()

        def ask() -> None:
            shop.exact()
            answers = {text: shop.ask(view, **asked(view, **q).question) for text, (view, q) in QUESTIONS.items()}
            moments[MOMENTS[len(moments)]] = Moment([*shop.topic.sent.values()], answers)

        shop.topic.send(islice(feed, 600))
        shop.dimensions_here(spark)
        shop.speed_here(spark)
        shop.serve()
        ask()
        shop.archive_here(spark)
        shop.batch(spark)
        ask()
        shop.topic.send(islice(feed, 400))
        shop.speed_here(spark)
        ask()
    return moments


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_question_is_answered_truly(text: str, moment: str, moments: dict[str, Moment]) -> None:
    view, question = QUESTIONS[text]
    oracle: Oracle = asked(view, **question)
    truth = oracle.truth(moments[moment].sent)
    wrong = oracle.differences(moments[moment].answers[text]["rows"], truth)
    assert truth
    assert not wrong, report(view, wrong)


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_batch_below_all_that_was_sent_changes_no_answer(text: str, moments: dict[str, Moment]) -> None:
    before, after = (moments[moment].answers[text] for moment in MOMENTS[:2])
    assert before["receipt"]["runs"] != after["receipt"]["runs"]
    assert before["rows"] == after["rows"]


@pytest.mark.parametrize("text", QUESTIONS)
def test_the_moments_are_what_they_are_called(text: str, moments: dict[str, Moment]) -> None:
    receipts = [moments[moment].answers[text]["receipt"] for moment in MOMENTS]
    runs, cut, position = zip(*((r["runs"], _end(r["cut"]), _end(r["position"])) for r in receipts), strict=True)
    assert runs[0] == ["origin"]
    assert cut[0] < position[0] == cut[1] == position[1] == cut[2] < position[2]


def test_products_and_places_that_no_dimension_lists_are_under_null(moments: dict[str, Moment]) -> None:
    answers = moments[MOMENTS[-1]].answers
    for text, key, unmatched in (
        ("which product lines are more successful", "productLine", {"products": 1}),
        ("how sales are distributed across countries", "country", {"locations": 0}),  # those orders have no key at all
    ):
        dimensions = answers[text]["receipt"]["dimensions"]
        assert None in {row[key] for row in answers[text]["rows"]}
        assert {name: d["unmatched"] for name, d in dimensions.items()} == unmatched


def test_returning_buyers_are_counted_per_month_from_the_answer(moments: dict[str, Moment]) -> None:
    moment = moments["across it"]
    rows = moment.answers["who buys again in the same month"]["rows"]
    told_counts = Counter(row["bucket"][:7] for row in rows if row["orders.overflowed"])

    orders = {(line["customerNumber"], line["orderNumber"], f"{line['orderDate']:%Y-%m}") for line in told(moment.sent)}
    per_month = Counter((customer, month) for customer, _, month in orders)
    assert told_counts == Counter(month for (_, month), n in per_month.items() if n > 1)
    assert told_counts["2026-03"] > 10


def test_broken_records_are_counted_and_never_stop_the_rest(moments: dict[str, Moment]) -> None:
    moment = moments[MOMENTS[-1]]
    broken = sum(record.kind == "broken" for record in moment.sent)
    assert moment.answers["what total sales are"]["receipt"]["quarantined"] == broken > 5


def order_lines() -> Iterator[Any]:
    """The example's own generator, with more trouble than it makes by itself."""
    generator = importlib.import_module("generator")
    trouble = generator.Trouble(late=0.15, future=0.05, out_of_order=0.1, broken=0.02, repeated=0.02)
    records: Iterator[Any] = generator.records(
        seed=11, start=datetime(2026, 3, 29, 12, tzinfo=UTC), rate=20, trouble=trouble
    )
    return records


def _end(position: dict[str, int]) -> int:
    """How many records lie below a position of this topic, whose log begins at 0 and has no holes."""
    return sum(o for _, o in Position.from_json(position).items())
