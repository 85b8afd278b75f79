"""The feed keeps its word: the same for the same seed, and as untidy as asked. No Spark is needed here."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice

import pytest

from generator import Record, Trouble, generate, read_dimension, records
from views import fact_orders

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def sample(size: int = 20_000, trouble: Trouble | None = None) -> list[Record]:
    return list(islice(records(seed=7, start=START, trouble=trouble), size))


def is_order_line(value: bytes) -> bool:
    """Whether the value is a JSON object in UTF-8 whose fields have the types of the source."""
    try:
        line = json.loads(value.decode())
    except ValueError:
        return False
    declared = fact_orders.columns.keys()
    return isinstance(line, dict) and declared - {"orderAmount"} <= line.keys() <= declared and is_whole(line)


def is_whole(line: dict[str, object]) -> bool:
    return isinstance(line["quantityOrdered"], int)


def test_the_same_seed_and_start_give_the_same_bytes() -> None:
    first, second = (list(islice(generate(seed=3, start=START), 2_000)) for _ in range(2))

    assert first == second
    assert first != list(islice(generate(seed=4, start=START), 2_000))


def test_each_trouble_comes_at_its_rate() -> None:
    asked = Trouble(late=0.05, future=0.02, out_of_order=0.10, broken=0.03, repeated=0.04)

    kinds = Counter(record.kind for record in sample(trouble=asked))

    whole = 1 - asked.broken - asked.repeated  # orders lose lines to the two kinds that befall single records
    assert kinds["late"] / 20_000 == pytest.approx(asked.late * whole, rel=0.15)
    assert kinds["future"] / 20_000 == pytest.approx(asked.future * whole, rel=0.15)
    assert kinds["out_of_order"] / 20_000 == pytest.approx(asked.out_of_order * whole, rel=0.15)
    assert kinds["broken"] / 20_000 == pytest.approx(asked.broken * (1 - asked.repeated), rel=0.15)
    assert kinds["repeated"] / 20_000 == pytest.approx(asked.repeated, rel=0.15)


def test_each_order_line_comes_once_but_for_what_is_repeated() -> None:
    good = [record.value for record in sample() if record.kind not in ("broken", "repeated")]

    assert len(set(good)) == len(good)


def test_a_repeated_record_is_an_earlier_one_to_the_byte() -> None:
    earlier: set[tuple[bytes, bytes]] = set()
    for key, value, kind in sample(trouble=Trouble(repeated=0.1)):
        assert kind != "repeated" or (key, value) in earlier
        earlier.add((key, value))


def test_only_broken_records_are_no_order_lines() -> None:
    for record in sample(trouble=Trouble(broken=0.05)):
        assert is_order_line(record.value) == (record.kind != "broken"), record


def test_event_times_follow_the_rate_and_the_trouble() -> None:
    days = {"late": (-60, -1), "future": (1, 30), "out_of_order": (-5 / 24 / 60, 0), "good": (0, 0)}
    lines = sample(trouble=Trouble(repeated=0))
    for number, record in enumerate(lines):
        if record.kind == "broken":
            continue
        due = START + timedelta(seconds=number / 100)
        moved = datetime.fromisoformat(json.loads(record.value)["orderDate"]) - due
        earliest, latest = (timedelta(days=day) for day in days[record.kind])
        assert earliest - timedelta(seconds=1) <= moved <= latest + timedelta(seconds=1), record


def test_the_lines_of_an_order_share_a_key_and_are_numbered() -> None:
    lines = sample(trouble=Trouble(broken=0, repeated=0))[:-8]
    for key, order in groupby(lines, key=lambda record: record.key):
        rows = [json.loads(record.value) for record in order]
        assert {str(row["orderNumber"]).encode() for row in rows} == {key}
        assert [row["orderLineNumber"] for row in rows] == list(range(1, len(rows) + 1))
        assert len({row["orderDate"] for row in rows}) == 1


def test_few_lines_have_a_product_or_a_place_that_no_dimension_lists() -> None:
    lines = [json.loads(record.value) for record in sample(trouble=Trouble(broken=0))]
    for name, key in (("dim_products", "productCode"), ("dim_locations", "postalCode")):
        listed = {row[key] for row in read_dimension(name)}
        assert 0 < sum(line[key] not in listed for line in lines) / len(lines) < 0.03


def test_only_the_old_till_leaves_out_the_amount() -> None:
    lines = [json.loads(record.value) for record in sample(trouble=Trouble(broken=0))]

    assert {"orderAmount" not in line for line in lines} == {True, False}
    assert all(("orderAmount" not in line) == line["status"].startswith(" ") for line in lines)


def test_without_a_start_orders_are_dated_by_the_clock() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    (_, value) = next(generate(late=0, future=0, out_of_order=0, broken=0))

    assert before <= datetime.fromisoformat(json.loads(value)["orderDate"]) <= datetime.now(UTC)
