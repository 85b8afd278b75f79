"""Declaring sources and views."""

import pytest

import dovetail as dv
from dovetail.shared.errors import DeclarationError

COLUMNS = "n bigint, at timestamp, name string"


def a_source(**changes):
    return dv.source("orders", **{"schema": COLUMNS, "event_time": "at", **changes})


def test_a_source_takes_its_name_as_topic_and_json_as_format():
    source = a_source()
    assert (source.topic, source.format.name) == ("orders", "json")
    assert source.columns == {"n": "bigint", "at": "timestamp", "name": "string"}


def test_a_view_as_a_decorator_takes_the_functions_name_and_stays_callable():
    @dv.view(source=a_source(), keys=["name"], measures={"rows": dv.count()})
    def sales(lines):
        return [*lines, "kept"]

    assert sales.name == "sales"
    assert sales(["a"]) == ["a", "kept"]


def test_both_forms_of_a_view_declare_the_same():
    def sales(lines):
        return lines

    source, rest = a_source(), {"keys": ["name"], "bucket": "1h", "measures": {"rows": dv.count()}}
    assert dv.view(source=source, **rest)(sales) == dv.view("sales", source=source, transform=[sales], **rest)


def test_an_unknown_argument_is_answered_with_the_nearest_known_one():
    with pytest.raises(DeclarationError, match="unknown argument 'event_tme': did you mean 'event_time'"):
        dv.source("orders", schema=COLUMNS, event_tme="at")


@pytest.mark.parametrize("name", ["Orders", "1st", "a-b", "", "x" * 64, "../x", 'a"b', "a\nb"])
def test_a_name_that_could_not_be_a_folder_or_a_column_is_refused(name):
    with pytest.raises(DeclarationError, match="a name is a lower-case letter"):
        dv.source(name, schema=COLUMNS)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keys": "name"}, r"keys must be a list of columns"),
        ({"measures": {}}, "has no measures"),
        ({"measures": {"rows": "count"}}, r"not a dv.count\(\)"),
        ({"measures": {"bucket": dv.count()}}, "'bucket' is the name of the time column"),
        ({"keys": ["rows"]}, "'rows' is used twice"),
        ({"keys": ["_mine"]}, "cannot be a key"),
        ({"speed": False, "batch": False}, "nothing computes it"),
        ({"bucket": "7h"}, "neither divides a day"),
        ({"bucket": "1500ms"}, "neither divides a day"),
        ({"bucket": "1mo"}, "a stored bucket of '1mo' would differ between time zones"),
    ],
)
def test_a_view_that_cannot_be_is_refused(changes, says):
    with pytest.raises(DeclarationError, match=says):
        dv.view("v", **{"source": a_source(), "keys": ["name"], "measures": {"rows": dv.count()}, **changes})


def test_a_bucket_needs_an_event_time():
    with pytest.raises(DeclarationError, match="needs a time"):
        dv.view("v", source=a_source(event_time=None), bucket="1h", measures={"rows": dv.count()})


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("n bigint, n int", "declared twice"),
        ("n number", "unknown type"),
        ("_n int", "Dovetail's own"),
        ("n", "is not a column"),
        ("", "no columns"),
    ],
)
def test_a_schema_that_cannot_be_is_refused(schema, says):
    with pytest.raises(DeclarationError, match=says):
        dv.source("orders", schema=schema)


def test_an_event_time_of_another_type_is_refused():
    with pytest.raises(DeclarationError, match="must be a timestamp or a date"):
        a_source(event_time="name")
