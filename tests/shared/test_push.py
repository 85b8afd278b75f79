"""What is declared to be sent on: checked where it is declared, found by its name, compared exactly."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

import dovetail as dv
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.errors import DeclarationError, UsageError
from dovetail.shared.project import Project
from dovetail.shared.push import Term

HOOK = dv.webhook("https://hooks.example/low", secret="env:SECRET")
source = dv.source("orders", schema="country string, amount decimal(10,2)")
sales = dv.view("sales", source=source, keys=["country"], measures={"lines": dv.count(), "revenue": dv.sum("amount")})


def fires(when: str, **row: object) -> bool | None:
    return dv.push(sales, to=HOOK, when=when).fires({"lines": 1, "revenue": Decimal(1), **row})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"by": ["county"]}, "unknown key 'county': did you mean 'country'?"),
        ({"where": {"city": "x"}}, "unknown key 'city'"),
        ({"where": {"country": []}}, "where of 'country' has no value"),
        ({"where": {"country": {"not": ()}}}, "where of 'country' has no value"),
        ({"measures": "revenu"}, "did you mean 'revenue'?"),
        ({"when": "revenu < 1"}, "did you mean 'revenue'?"),
        ({"when": "lines > 1", "measures": ["revenue"]}, "when is of lines, which is not in the answer"),
        ({"when": "lines > x"}, "is not MEASURE < NUMBER"),
        ({"when": "lines > 1 or revenue < 1"}, "is not MEASURE < NUMBER"),
        ({"when": "lines > 1 and"}, "is not MEASURE < NUMBER"),
        ({"when": ""}, "is not MEASURE < NUMBER"),
        ({"every": "10ms"}, "every=10ms is no time from 50ms to 60s"),
        ({"bucket": "7h"}, "neither divides a day"),
        ({"to": "https://hooks.example"}, r"to is dv.webhook\(…\) or dv.topic\(…\)"),
    ],
)
def test_a_push_that_cannot_be_is_refused_with_its_line(changes: dict[str, object], says: str) -> None:
    with pytest.raises(DeclarationError, match=says) as refused:
        dv.push(sales, **{"to": HOOK, **changes})  # type: ignore[arg-type]
    assert refused.value.where.startswith("test_push.py:")


def test_only_a_view_is_pushed() -> None:
    with pytest.raises(DeclarationError, match=r"a push is of a dv.view"):
        dv.push("sales", to=HOOK)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["http://hooks.example/low", "ftp://127.0.0.1", "hooks.example", "https://", "http://10.0.0.1/x"]
)
def test_what_leaves_this_machine_is_encrypted(url: str) -> None:
    with pytest.raises(DeclarationError, match="a webhook's address is https://…"):
        dv.webhook(url, secret="env:SECRET")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/", "https://a.example"]
)
def test_on_this_machine_it_need_not_be(url: str) -> None:
    assert dv.webhook(url, secret="file:secret").url == url


def test_a_secret_is_a_reference_and_an_address_is_not_shown() -> None:
    for secret in ("abc", "env:", ""):
        with pytest.raises(DeclarationError, match="env:NAME or file:PATH"):
            dv.webhook("https://hooks.example", secret=secret)
    with pytest.raises(DeclarationError, match="a user or a password"):
        dv.webhook("https://me:abc@hooks.example", secret="env:SECRET")
    assert "token" not in repr(dv.webhook("https://hooks.example/token", secret="env:SECRET"))
    assert "token" not in str(dv.webhook("https://hooks.example/token", secret="env:SECRET"))


def test_a_topic_has_a_name_that_kafka_takes() -> None:
    assert dv.topic("shop.low-revenue").name == "shop.low-revenue"
    with pytest.raises(DeclarationError, match="cannot be a topic's name"):
        dv.topic("low revenue")


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        ("<", Decimal("99.99999999999999999999"), True), ("<", Decimal("100.00"), False), ("<=", 100, True),
        (">", 10**20, True), (">=", 100, True), ("=", Decimal("100.0"), True), ("!=", 100, False), ("<", -1, True),
        (">", Decimal("100.00000000000000000001"), True), ("=", 100.0, True), ("<", float("nan"), False),
        ("!=", float("nan"), True), ("<", None, False), (">", None, False), ("=", None, False), ("!=", None, True),
    ],
)  # fmt: skip
def test_numbers_are_compared_exactly_and_null_is_none(op: str, value: object, holds: bool) -> None:
    assert Term("revenue", op, Decimal(100)).holds(value) is holds


def test_a_double_is_compared_with_the_double_that_is_written() -> None:
    assert Term("ratio", "=", Decimal("0.1")).holds(0.1)
    assert not Term("ratio", ">", Decimal("0.1")).holds(0.1)


def test_all_that_is_joined_by_and_has_to_hold() -> None:
    assert fires("revenue < 2 and lines >= 1") is True
    assert fires("revenue<2 and lines>=2") is False
    assert fires("revenue<-0.5", revenue=Decimal("-0.51")) is True
    assert dv.push(sales, to=HOOK).fires({"lines": 1}) is None


def test_what_is_no_number_is_an_error() -> None:
    with pytest.raises(UsageError, match="when: revenue is no number but 'x'"):
        fires("revenue < 1", revenue="x")


def loaded(folder: Path, **files: str) -> Project:
    head = (
        "import dovetail as dv\nevents = dv.source('events', schema='n bigint')\n"
        "totals = dv.view('totals', source=events, measures={'rows': dv.count()})\n"
    )
    (folder / "dovetail.toml").write_text(f"views = {[f'{name}.py' for name in files]}\n")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text if "import" in text else head + text)
    return projects.load(settings.load(folder))


def test_a_push_is_called_by_what_it_is_assigned_to(tmp_path: Path) -> None:
    project = loaded(
        tmp_path,
        push_views="low = dv.push(totals, to=dv.topic('a'))\nhigh = dv.push(totals, to=dv.topic('b'))\n",
        push_more="from push_views import low as same\n",
    )
    assert {name: str(push.to) for name, push in project.pushes.items()} == {"low": "topic a", "high": "topic b"}
    with pytest.raises(UsageError, match="unknown push 'lo': did you mean 'low'"):
        project.push("lo")


def test_two_of_one_name_and_a_name_that_is_no_file_s_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="'Low' is no name"):
        loaded(tmp_path, push_capital="Low = dv.push(totals, to=dv.topic('a'))\n")
    with pytest.raises(DeclarationError, match="push low is declared twice"):
        loaded(
            tmp_path,
            push_once="low = dv.push(totals, to=dv.topic('a'))\n",
            push_twice="import dovetail as dv\nfrom push_once import totals\nlow = dv.push(totals, to=dv.topic('a'))\n",
        )
