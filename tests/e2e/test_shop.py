"""The shop, exact from its first record, and its questions: the same records before a cut, across it, and below one.

One system goes through all three; what it answered is kept, and each test looks at one thing in it.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from e2e_oracle import report
from e2e_system import System
from shop_truth import QUESTIONS, SHOP, asked, told

from dovetail.shared.log import Log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.timeout(400)]


@dataclass
class Story:
    """What was sent, and at each moment what each question was answered."""

    sent: list[Any]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Every group of both views is held against the truth at each moment too."""
    folder = tmp_path_factory.mktemp("shop") / "shop"
    with System.create(SHOP, folder, log, topic="shop.fact-orders.test", partitions=2) as shop:
        feed = order_lines()
        shop.dimensions_here(spark)
        shop.topic.send(islice(feed, 600))
        shop.speed_here(spark)
        shop.archive_here(spark)
        shop.topic.send(islice(feed, 400))
        shop.speed_here(spark)
        shop.serve()
        story = Story([*shop.topic.sent.values()])

        def ask(moment: str) -> None:
            shop.exact()
            story.answers[moment] = {
                text: shop.ask(view, **asked(view, **q).question) for text, (view, q) in QUESTIONS.items()
            }

        ask("before a cut")
        shop.batch(spark)  # of what the archive holds by now
        ask("across it")
        shop.archive_here(spark)
        shop.batch(spark)
        ask("below one")
    return story


@pytest.mark.parametrize("text", QUESTIONS)
@pytest.mark.parametrize("moment", ["before a cut", "across it", "below one"])
def test_a_question_is_answered_truly(text: str, moment: str, story: Story) -> None:
    view, question = QUESTIONS[text]
    oracle = asked(view, **question)
    truth = oracle.truth(story.sent)
    wrong = oracle.differences(story.answers[moment][text]["rows"], truth)
    assert truth
    assert not wrong, report(view, wrong)


@pytest.mark.parametrize("text", QUESTIONS)
def test_an_answer_stays_while_the_cut_slides_below_it(text: str, story: Story) -> None:
    before, across, below = (answers[text] for answers in story.answers.values())
    assert before["rows"] == across["rows"] == below["rows"]
    assert before["receipt"]["runs"] == ["origin"]
    cuts = [_records_below(answer["receipt"]["cut"]) for answer in (before, across, below)]
    assert cuts == [0, 600, 1000]


@pytest.mark.parametrize(
    ("text", "key", "unmatched"),
    [
        ("which product lines are more successful", "productLine", {"products": 1}),
        ("how sales are distributed across countries", "country", {"locations": 0}),  # those orders have no key at all
    ],
)
def test_what_no_dimension_lists_is_under_null(text: str, key: str, unmatched: dict[str, int], story: Story) -> None:
    answer = story.answers["across it"][text]
    assert None in {row[key] for row in answer["rows"]}
    assert {name: d["unmatched"] for name, d in answer["receipt"]["dimensions"].items()} == unmatched


def test_returning_buyers_are_counted_per_month_from_the_answer(story: Story) -> None:
    rows = story.answers["across it"]["who buys again in the same month"]["rows"]
    counted = Counter(row["bucket"][:7] for row in rows if row["orders.overflowed"])
    orders = {(f"{line['orderDate']:%Y-%m}", line["customerNumber"], line["orderNumber"]) for line in told(story.sent)}
    placed = Counter((month, customer) for month, customer, _ in orders)
    assert counted == Counter(month for (month, _), n in placed.items() if n > 1)
    assert counted["2026-03"] > 10


def test_broken_records_are_counted_and_stop_nothing(story: Story) -> None:
    broken = sum(record.kind == "broken" for record in story.sent)
    assert story.answers["across it"]["what total sales are"]["receipt"]["quarantined"] == broken > 5


def order_lines() -> Iterator[Any]:
    """The example's own generator, with more trouble than it makes by itself."""
    generator = importlib.import_module("generator")
    trouble = generator.Trouble(late=0.15, future=0.05, out_of_order=0.1, broken=0.02, repeated=0.02)
    records: Iterator[Any] = generator.records(
        seed=11, start=datetime(2026, 3, 29, 12, tzinfo=UTC), rate=20, trouble=trouble
    )
    return records


def _records_below(position: dict[str, int]) -> int:
    """Of this topic, whose log begins at 0 and has no holes."""
    return sum(position.values())
