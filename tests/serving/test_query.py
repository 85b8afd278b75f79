"""From a question to a plan: what is understood, and what is refused with which words."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import orjson
import pytest
from serving_stand import TYPES, ViewSpec

from dovetail.serving import query
from dovetail.serving.buckets import instant
from dovetail.serving.fields import from_json, from_url
from dovetail.serving.query import Asked, Plan
from dovetail.serving.shape import Shape
from dovetail.shared.duration import Span
from dovetail.shared.errors import QueryError
from dovetail.shared.position import RecordId


def shape(keys: tuple[str, ...] = tuple(TYPES), bucket: int | None = 3600) -> Shape:
    spec = ViewSpec("sales", keys=keys, bucket=bucket)
    states = {s.column: s for m in spec.measures.values() for s in m.states}
    return Shape(
        "sales", spec.version, "orders", "shop.orders", {k: TYPES[k] for k in keys}, bucket, spec.measures,
        {c: spec.groups.field(c).type for c in states}, {c: s.kind for c, s in states.items()},
    )  # fmt: skip


SHAPE = shape()


def asked(url: str, of: Shape = SHAPE) -> Asked:
    return query.plan(of, from_url(url))


def plan(url: str, of: Shape = SHAPE) -> Plan:
    return asked(url, of).plan


def where(url: str) -> dict[str, tuple[Any, ...]]:
    return {c.name: c.values for c in plan(url).where}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("where.country=FR", ("FR",)),
        ("where.country=FR,DE", ("DE", "FR")),
        ("where.country=FR&where.country=DE", ("DE", "FR")),
        ("where.country=a\\,b,c\\\\d", ("a,b", "c\\d")),
        ("where.country=", ("",)),
        ("where.country.null=true", (None,)),
        ("where.country=FR&where.country.null=true", ("FR", None)),
        ("where.product=7", (7,)),
        ("where.product=-7,%2B8", (-7, 8)),
        ("where.big=9007199254740993", (9007199254740993,)),
        ("where.day=2026-03-01", (dt.date(2026, 3, 1),)),
        ("where.vip=true", (True,)),
        ("where.price=1.5", (Decimal("1.50"),)),
        ("where.seen=2026-03-01T01:00Z", (instant("2026-03-01T01:00Z", "UTC"),)),
        ("where.seen=2026-03-01T01:00&tz=Europe/Paris", (instant("2026-03-01T00:00Z", "UTC"),)),
        ("where.ratio=0.5", (0.5,)),
        ("where.raw=eA==", (b"x",)),
    ],
)
def test_values_are_of_the_type_of_their_key(text: str, values: tuple[Any, ...]) -> None:
    ((_, found),) = where(text).items()
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("where.product=x", "where.product: 'x' is not of type int"),
        ("where.product=3000000000", "is not of type int"),
        ("where.product=1.0", "is not of type int"),
        ("where.day=yesterday", "is not of type date"),
        ("where.vip=1", "is not of type boolean"),
        ("where.price=1.555", "is not of type decimal(10,2)"),
        ("where.price=NaN", "is not of type decimal(10,2)"),
        ("where.raw=%25", "is not of type binary"),
        ("where.contry=FR", "unknown key 'contry': did you mean 'country'?"),
        ("where.country.null=false", "only where.country.null=true"),
        ("where.country.nul=true", "unknown key 'country.nul'"),
        ("by=contry", "unknown key 'contry': did you mean 'country'?"),
        ("by=bucket", "unknown key 'bucket'"),
        ("measures=revenu", "unknown measure 'revenu': did you mean 'revenue'?"),
        ("order_by=-revenu", "unknown column of this answer 'revenu': did you mean 'revenue'?"),
        ("order_by=country", "unknown column of this answer 'country'"),
        ("order_by=lines&measures=revenue", "unknown column of this answer 'lines'"),
        ("tz=Europe/Pariss", "unknown time zone 'Europe/Pariss': did you mean 'Europe/Paris'?"),
        ("tz=../../etc/passwd", "unknown time zone '../../etc/passwd'"),
        ("tz=", "unknown time zone ''"),
        ("limt=3", "unknown parameter 'limt': did you mean 'limit'?"),
        ("country=FR", "unknown parameter 'country'"),
        ("max_age=soon", "max_age=soon is no length of time"),
        ("complete=yes", "complete=yes: only complete=required can be asked"),
        ("cursor=s1.2.0123456789", "cursor=s1.2.0123456789 is none"),
        ("cursor=s1.2.01234567~0", "cursor=s1.2.01234567~0 is none"),
        ("where.country.like=F", "unknown key 'country.like'"),
        ("where.product.gte=1,2", "where.product.gte takes one value"),
        ("where.product.gte.null=true", "where.product.gte takes one value"),
        ("where.product.gte=x", "where.product.gte: 'x' is not of type int"),
        ("where.product.prefix=1", "where.product.prefix: only a text has a prefix"),
        ("where.vip.lt=true", "where.vip.lt: of two values of this type none is the larger"),
        ("having.lines.gte=x", "having.lines.gte: 'x' is not of type bigint"),
        ("having.revenu.gte=1", "unknown measure 'revenu'"),
        ("having.revenue.gte=1&measures=lines", "having.revenue: revenue is not in the answer"),
        ("limit=0", "limit=0: write a number from 1 to 100000"),
        ("limit=100001", "limit=100001"),
        ("limit=1.5", "limit=1.5"),
        ("limit=1&limit=2", "limit is given twice"),
        ("timeout=61", "timeout=61: write a number from 0 to 60"),
        ("timeout=nan", "timeout=nan"),
        ("at_least=x", "'x' is not a record: write partition@offset"),
        ("bucket=7h", "a bucket of '7h' neither divides a day"),
        ("bucket=30m", "a bucket of 30m is no multiple of the stored 1h"),
        ("bucket=soon", "'soon' is not a length of time"),
        ("bucket=5mo", "a bucket of '5mo' neither divides a year"),
        ("bucket=0w", "'0w' is not a whole number of seconds"),
        ("window=soon", "'soon' is not a length of time"),
        ("window=1f", "'1f' is not a length of time"),
        ("window=1500ms", "'1500ms' is not a whole number of seconds"),
        ("window=999999999y", "within 10,000 years"),
        ("fill=zeros&bucket=1d", "unknown fill 'zeros': did you mean 'zero'?"),
        ("fill=zero", "fill is of buckets, and none are asked for"),
        ("fill=null&start=2026-03-01", "fill is of buckets, and none are asked for"),
        ("bucket=1d&window=7d&start=2026-03-01T06:00", "start 2026-03-01T06:00:00Z lies inside a bucket of 1d"),
        ("bucket=1w&window=2w&end=2026-03-01", "end 2026-03-01T00:00:00Z lies inside a bucket of 1w"),
        ("window=6h&start=2026-03-01T00:30", "lies inside a stored bucket of 1h"),
        ("bucket=1mo&tz=Asia/Kolkata&start=2026-03-01", "buckets of 1mo in Asia/Kolkata cannot be made of stored"),
        ("start=soon", "'soon' is not a time"),
        ("start=2026-03-01T00:30Z", "start 2026-03-01T00:30:00Z lies inside a stored bucket of 1h"),
        ("end=2026-03-01&tz=Asia/Kolkata", "lies inside a stored bucket of 1h"),
        ("start=2026-03-02&end=2026-03-01", "end does not lie after start"),
        ("bucket=1d&tz=Asia/Kolkata&start=2026-03-01", "cannot be made of stored ones of 1h"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(QueryError) as refused:
        plan(text)
    assert says in refused.value.what


def test_a_view_without_bucket_refuses_time() -> None:
    for text in ("start=2026-03-01", "end=2026-03-01", "bucket=1d", "window=7d", "bucket=1mo"):
        with pytest.raises(QueryError, match="it has no bucket"):
            plan(text, shape(bucket=None))


@pytest.mark.parametrize(
    ("text", "says", "next_"),
    [
        ("bucket=1d&window=36h", "a window of 36h is no multiple of its buckets of 1d", "2d"),
        ("bucket=2d&window=7d", "a window of 7d is no multiple of its buckets of 2d", "8d"),
        ("bucket=1d&window=6h", "a window of 6h is shorter than its buckets of 1d", "1d"),
        ("window=30m", "a window of 30m is shorter than its buckets of 1h", "1h"),
        ("window=90m", "a window of 90m is no multiple of its buckets of 1h", "2h"),
        ("bucket=1w&window=10d", "a window of 10d is no multiple of its buckets of 1w", "2w"),
        ("bucket=1w&window=1mo", "a window of 1mo is no multiple of its buckets of 1w", "5w"),
        ("bucket=2d&window=1mo", "a window of 1mo is no multiple of its buckets of 2d", "32d"),
        ("bucket=7d&window=1mo", "a window of 1mo is no multiple of its buckets of 7d", "35d"),
        ("bucket=1mo&window=90d", "a window of 90d is no multiple of its buckets of 1mo", "1q"),
        ("bucket=1mo&window=4w", "a window of 4w is shorter than its buckets of 1mo", "1mo"),
        ("bucket=1q&window=4mo", "a window of 4mo is no multiple of its buckets of 1q", "2q"),
    ],
)
def test_a_window_that_is_no_multiple_is_refused_with_the_next_that_is(text: str, says: str, next_: str) -> None:
    with pytest.raises(QueryError) as refused:
        plan(text)
    assert (refused.value.what, refused.value.next) == (says, f"window={next_}")
    assert plan("&".join([*(p for p in text.split("&") if not p.startswith("window")), refused.value.next])).window


def test_a_window_goes_by_stored_buckets_where_none_are_asked_for() -> None:
    found = plan("window=7d&start=2026-03-10")
    assert (found.bucket, found.window) == (Span(3600), Span(7 * 86400))
    assert found.since == instant("2026-03-03T01:00", "UTC")
    assert plan("start=2026-03-10").since == plan("start=2026-03-10").start
    assert plan("window=1mo&bucket=1d&start=2026-03-31&tz=Europe/Paris").since == instant("2026-03-01", "Europe/Paris")


@pytest.mark.parametrize("stored", [2 * 86400, 7 * 86400])
@pytest.mark.parametrize("bucket", ["1w", "1mo", "1q", "1y"])
def test_weeks_and_months_are_not_made_of_stored_buckets_longer_than_a_day(stored: int, bucket: str) -> None:
    with pytest.raises(QueryError) as refused:
        plan(f"bucket={bucket}", shape(bucket=stored))
    assert refused.value.what.startswith(f"a bucket of {bucket} cannot be made of stored ones of ")
    assert refused.value.why.startswith("the largest stored bucket that can answer this is 1d")
    assert plan(f"bucket={bucket}", shape(bucket=86400)).bucket


def test_the_order_is_total() -> None:
    assert plan("by=country,product&bucket=1d&order_by=-lines,product").order_by == (
        ("lines", True), ("product", False), ("country", False), ("bucket", False),
    )  # fmt: skip


def test_defaults_are_all_measures_one_total_and_a_thousand_rows() -> None:
    found = asked("")
    assert (found.plan.by, found.plan.measures, found.plan.limit) == ((), tuple(SHAPE.measures), 1000)
    assert (found.at_least, found.timeout) == (None, 10.0)


def test_at_least_names_a_seq_or_a_record() -> None:
    assert asked("at_least=37").at_least == 37
    found = asked("at_least=2@3141&timeout=0.5")
    assert (found.plan, found.at_least, found.timeout) == (plan(""), RecordId(2, 3141), 0.5)


def test_a_body_asks_the_same_as_a_url() -> None:
    body = {
        "by": ["country"], "where": {"country": ["FR", None], "product": 7, "vip": True, "day": "2026-03-01"},
        "bucket": "1d", "window": "7d", "fill": "zero", "tz": "Europe/Paris", "limit": 5, "order_by": "-revenue",
        "at_least": 3, "start": None,
    }  # fmt: skip
    url = (
        "by=country&where.country=FR&where.country.null=true&where.product=7&where.vip=true&where.day=2026-03-01"
        "&bucket=1d&window=7d&fill=zero&tz=Europe/Paris&limit=5&order_by=-revenue&at_least=3"
    )
    assert query.plan(SHAPE, from_json(orjson.dumps(body))) == asked(url)


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b'{"where": [1]}', b'{"limt": 1}', b'{"where": {"country": {"a": 1}}}', b'{"by": {}}',
             b'{"where": {"country": []}}', b'{"where": {"country": {}}}'],
)  # fmt: skip
def test_a_body_that_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(QueryError):
        query.plan(SHAPE, from_json(body))


def test_one_group_of_keys_is_known_as_such() -> None:
    of = shape(("country", "product"))
    assert plan("where.country=FR&where.product=2", of).key(of) == ("FR", 2)
    assert plan("where.country.null=true&where.product=2", of).key(of) == (None, 2)
    assert plan("where.country=FR", of).key(of) is None
    assert plan("where.country=FR,DE&where.product=2", of).key(of) is None
    assert plan("where.country=FR&where.country.null=true&where.product=2", of).key(of) is None
    assert plan("", shape(())).key(shape(())) == ()
    assert plan("where.ratio=0.5", shape(("ratio",))).key(shape(("ratio",))) is None


def test_equal_questions_have_equal_plans() -> None:
    assert plan("where.country=a,b&by=country").digest == plan("by=country&where.country=b&where.country=a").digest
    assert plan("limit=5").digest != plan("limit=6").digest
    assert plan("bucket=24h").digest == plan("bucket=1d").digest
    assert len({plan(f"bucket=1d{more}").digest for more in ("", "&window=7d", "&window=1w", "&fill=zero")}) == 4


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("where.product.gte=2", [("product", "gte", (2,))]),
        ("where.product.gt=2&where.product.lt=9", [("product", "gt", (2,)), ("product", "lt", (9,))]),
        ("where.country.prefix=F", [("country", "prefix", ("F",))]),
        ("where.country.not=FR,DE", [("country", "not", ("DE", "FR"))]),
        ("where.country.not=FR&where.country.not.null=true", [("country", "not", ("FR", None))]),
        ("where.country.not.null=true", [("country", "not", (None,))]),
    ],
)
def test_an_operator_follows_the_key(text: str, conditions: list[tuple[str, str, tuple[Any, ...]]]) -> None:
    assert [(c.name, c.op, c.values) for c in plan(text).where] == conditions


def test_conditions_of_a_body_are_those_of_a_url() -> None:
    body = {"where": {"country": {"not": ["FR", None]}, "product": {"gte": 2, "lt": 9}}, "having": {"lines": {"gt": 1}}}
    url = "where.country.not=FR&where.country.not.null=true&where.product.gte=2&where.product.lt=9&having.lines.gt=1"
    assert query.plan(SHAPE, from_json(orjson.dumps(body))) == asked(url)


def test_a_group_that_is_only_bounded_is_not_one_group() -> None:
    one = shape(("country", "product"))
    assert plan("where.country=FR&where.product=1", one).key(one) == ("FR", 1)
    assert plan("where.country=FR&where.product.gte=1", one).key(one) is None
    assert plan("where.country.not=FR&where.product=1", one).key(one) is None


def test_a_cursor_goes_on_after_so_many_rows() -> None:
    assert plan("cursor=s1.2.01234567~40&limit=20").offset == 40
    assert plan("cursor=s1.2.01234567~40&limit=20").first == plan("limit=20")


def test_an_age_is_a_length_of_time_or_seconds() -> None:
    ages = {"max_age=3": 3.0, "max_age=500ms": 0.5, "max_age=5m": 300.0, "": None}
    assert {text: asked(text).max_age for text in ages} == ages
