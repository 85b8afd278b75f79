"""A question is written so that the server reads what was meant, as JSON and as a URL."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovetail.client.errors import Refused
from dovetail.client.question import Question, body, parameters, plain
from dovetail.serving.fields import CONDITIONS, LISTS, SCALARS, Fields, from_json, from_url
from dovetail.serving.where import OPS
from dovetail.shared.duration import DAY, Span, parse, span

TEXTS = st.text("aé,\\.&=+% ", max_size=5)
VALUES = TEXTS | st.sampled_from([None, True, False, -(2**63), 0, 0.1, 1e22, Decimal("1E+2"), dt.date(2026, 3, 1)])
LISTED = VALUES | st.lists(VALUES, max_size=4)
KEYS = st.sampled_from(["country", "product.vendor", "price"])
BY_OPERATOR = st.dictionaries(st.sampled_from(["in", *OPS]), LISTED, min_size=1)
CONDITIONED = st.dictionaries(KEYS, LISTED | BY_OPERATOR)
ASKED = st.fixed_dictionaries(
    {"where": CONDITIONED, "having": CONDITIONED},
    optional={
        "by": st.lists(st.sampled_from(["country", "day"])),
        "start": st.just(dt.datetime(2026, 3, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))),
        "limit": st.integers(1, 9),
    },
)


class Land(enum.Enum):
    FR = "France"


def test_every_field_that_the_server_reads_can_be_asked_and_no_other() -> None:
    assert {*Question.__annotations__} == {*SCALARS, *LISTS, *CONDITIONS}


@given(ASKED)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_url_asks_what_a_body_asks(asked: Question) -> None:
    fields = body(asked)
    read = from_json(orjson.dumps(fields))
    if any(not values for of in (read.where, read.having) for given in of.values() for values in given.values()):
        with pytest.raises(Refused, match="has no value"):  # as the server says of the body
            parameters(fields)
    else:
        assert meant(from_url(urlencode(parameters(fields)))) == meant(read)


@pytest.mark.parametrize(
    ("where", "name"), [({"country": []}, "where.country"), ({"price": {"not": ()}}, "where.price.not")]
)
def test_a_condition_without_values_is_refused_and_does_not_ask_for_everything(where: Any, name: str) -> None:
    with pytest.raises(Refused, match=f"{name} has no value"):
        parameters(body({"where": where, "by": ["country"]}))


def meant(fields: Fields) -> list[Any]:
    """A question without the order of the values of a condition, which says nothing."""
    conditions = [
        {(key, op): {*values} for key, given in of.items() for op, values in given.items()}
        for of in (fields.where, fields.having)
    ]
    return [fields.scalars, fields.lists, *conditions]


def test_what_is_none_is_not_asked_but_within_a_condition() -> None:
    assert body({"limit": None, "where": {"country": None}, "complete": False}) == {"where": {"country": None}}


def test_a_whole_answer_is_asked_for_in_the_server_s_word() -> None:
    assert body({"complete": True}) == {"complete": "required"}


def test_a_field_that_there_is_none_of_is_refused_with_the_closest() -> None:
    with pytest.raises(TypeError, match="'mesures': did you mean 'measures'"):
        body({"mesures": ["revenue"]})  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (dt.datetime(2026, 3, 1, 6, tzinfo=dt.UTC), "2026-03-01T06:00:00+00:00"), (dt.date(2026, 3, 1), "2026-03-01"),
        (dt.timedelta(seconds=1.5), "1500ms"), (Decimal("1E+2"), "100"), (Decimal("1.50"), "1.50"), (b"x", "eA=="),
        (True, True), (Land.FR, "France"), (float("nan"), "nan"), (float("-inf"), "-inf"), (0.5, 0.5),
        (np.int64(3), 3), (np.float64(0.5), 0.5), (np.bool_(True), True), (np.array(["a", "b"]), ["a", "b"]),
        (pa.array([1, None]), [1, None]), ({"FR"}, ["FR"]), (("a", None), ["a", None]),
        ({"gte": Decimal("2"), "not": (1, 2)}, {"gte": "2", "not": [1, 2]}),
    ],
)  # fmt: skip
def test_values_of_python_and_of_tables_are_written_as_the_server_reads_them(value: Any, written: Any) -> None:
    assert plain(value) == written
    assert orjson.loads(orjson.dumps(plain(value))) == written


def test_lengths_of_whole_days_are_lengths_to_the_server_however_long() -> None:
    for days in range(1, 3651):
        assert span(plain(dt.timedelta(days=days))) == Span(days * DAY)
    assert parse(plain(dt.timedelta(0))) == dt.timedelta(0)  # as in max_age


def test_a_value_that_no_key_has_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="is a builtin_function_or_method"):
        plain({"country": len})


@pytest.mark.parametrize("read", [lambda b: from_json(orjson.dumps(b)), lambda b: from_url(urlencode(parameters(b)))])
def test_nan_is_not_asked_for_as_null(read: Callable[[dict[str, Any]], Any]) -> None:
    assert read(body({"where": {"ratio": float("nan")}})).where == {"ratio": {"in": ["nan"]}}
