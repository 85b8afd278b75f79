"""Declaring rules: what each kind says, and what is refused at the user's line. No engine."""

import datetime as dt
from decimal import Decimal

import pytest

import dovetail as dv
from dovetail.shared.conditions import fault, unknown_operand
from dovetail.shared.errors import DeclarationError

SCHEMA = "n bigint, price decimal(10,2), x double, name string, at timestamp, day date, ok boolean"
DAY = dt.date(2026, 10, 1)


def declared(*rules, **changes):
    return dv.source("orders", **{"schema": SCHEMA, "event_time": "at", "rules": [*rules], **changes})


def condition(rule) -> str:
    (kept,) = declared(rule).rules
    return kept.condition


def test_a_rule_quarantines_and_is_called_by_its_condition_where_nothing_else_is_said():
    (rule,) = declared(dv.rule("  n > 0 ")).rules
    assert (rule.name, rule.condition, rule.otherwise) == ("n > 0", "n > 0", "quarantine")
    assert rule.where.startswith("test_rules.py:")


@pytest.mark.parametrize(
    ("rule", "sql"),
    [
        (dv.rule.in_range("price", low=0, high=9.5), "`price` >= 0 and `price` <= 9.5"),
        (dv.rule.in_range("price", high=Decimal("1E+2")), "`price` <= 100"),
        (dv.rule.in_range("x", low=1e-7), "`x` >= 1e-07D"),
        (dv.rule.in_range("day", low=DAY), "`day` >= date'2026-10-01'"),
        (
            dv.rule.in_range("at", low=dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))),
            "`at` >= timestamp'2026-01-01 00:00:00+00:00'",
        ),
        (dv.rule.one_of("name", ["it's", "a\\b"]), r"`name` in ('it\'s', 'a\\b')"),
        (dv.rule.one_of("ok", [True]), "`ok` in (true)"),
        (dv.rule.matches("name", r"^\d$"), r"`name` rlike '^\\d$'"),
        (dv.rule.castable("name", "int"), "`name` is null or try_cast(`name` as int) is not null"),
        (
            dv.rule.fresh(within="2 minutes"),
            "unix_millis(`_timestamp`) - unix_millis(cast(`at` as timestamp)) <= 120000",
        ),
        (
            dv.rule.not_future(by="1 day"),
            "unix_millis(cast(`at` as timestamp)) - unix_millis(`_timestamp`) <= 86400000",
        ),
    ],
)
def test_each_kind_of_rule_is_a_condition_in_sql(rule, sql):
    assert condition(rule) == sql


def test_only_rules_that_take_records_out_are_part_of_how_a_source_is_decoded():
    plain, warned = (
        declared().as_json(),
        declared(dv.rule("n > 0", otherwise="warn"), dv.rule.null_rate("n", below="5%")),
    )
    assert warned.as_json() == plain == {"format": "json", "schema": warned.columns, "event_time": "at"}
    decided = declared(dv.rule("n > 0", otherwise="fail"), dv.rule("n < 9", otherwise="drop", name="few"))
    assert decided.as_json() == plain | {"rules": [{"name": "few", "condition": "n < 9", "otherwise": "drop"}]}


def test_sources_that_differ_in_a_rule_are_not_the_same():
    assert declared(dv.rule("n > 0")) != declared(dv.rule("n > 0", otherwise="warn"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dv.rule("n > "), "rule 'n >' does not parse: it ends with '>'"),
        (lambda: dv.rule("(n > 0"), "does not parse: 1 '\\(' is not closed"),
        (lambda: dv.rule("n > 0) or (true"), r"does not parse: a '\)' has no '\('"),
        (lambda: dv.rule("name = 'a"), "does not parse: a ' is not closed"),
        (lambda: dv.rule("n > 0; drop table x"), "does not parse: a condition has no ';'"),
        (lambda: dv.rule(" "), "a rule is a condition in Spark SQL, not ' '"),
        (lambda: dv.rule("sum(n) > 0"), "rule 'sum\\(n\\) > 0': sum: a rule judges one record by itself"),
        (lambda: dv.rule("at < current_timestamp()"), "current_timestamp: batch would get another value"),
        (lambda: dv.rule("n in (select 1)"), "select: a transform sees the record and nothing else"),
        (lambda: dv.rule("n > 0", otherwise="quarantin"), "unknown otherwise 'quarantin': did you mean 'quarantine'"),
        (lambda: dv.rule("n > 0", name="x" * 501), "a rule's name is text of 1 to 500 characters"),
        (lambda: declared(dv.rule("prise > 0")), "unknown column 'prise': did you mean 'price'"),
        (lambda: declared(dv.rule("_offset > 0")), "unknown column '_offset'"),
        (lambda: declared(dv.rule("n > 0"), dv.rule("n > 0", otherwise="warn")), "two rules are called 'n > 0'"),
        (lambda: dv.rule.in_range("n"), "give low=, high= or both"),
        (lambda: dv.rule.in_range("n", low=2, high=1), "low=2 is above high=1"),
        (lambda: dv.rule.in_range("n", low=float("nan")), "give values of one kind: int, float, Decimal, date"),
        (lambda: dv.rule.in_range("n", low=1, high=DAY), "give values of one kind"),
        (lambda: declared(dv.rule.in_range("name", low=1)), "column name is of type string: it takes numbers"),
        (lambda: declared(dv.rule.in_range("prise", low=1)), "unknown column 'prise': did you mean 'price'"),
        (lambda: dv.rule.one_of("name", "AB"), "one_of of name: give a list of values, not 'AB'"),
        (lambda: dv.rule.one_of("name", []), "give a list of values"),
        (lambda: declared(dv.rule.one_of("n", ["A"])), "column n is of type bigint: it takes text"),
        (lambda: dv.rule.matches("name", ""), "give a regular expression, not ''"),
        (lambda: dv.rule.castable("name", "number"), "unknown type 'number'"),
        (lambda: dv.rule.castable("name", "array<int>"), "unknown type 'array<int>'"),
        (lambda: dv.rule.fresh(within="soon"), "fresh: within='soon' is not a length of time"),
        (lambda: dv.rule.not_future(by="0s"), "not_future: by='0s' is not a length of time"),
        (lambda: declared(dv.rule.fresh(within="1h"), event_time="later"), "event time is no column of it"),
        (lambda: dv.rule.null_rate("n", below="abc"), "null_rate of n: below='abc' is not a percentage"),
        (lambda: dv.rule.null_rate("n", below="101%"), "above 0 and up to 100%"),
        (lambda: dv.rule.null_rate("n", below=0.05), "below=0.05 is not a percentage"),
        (lambda: dv.rule.null_rate("n", below="5%", otherwise="drop"), "otherwise='drop' takes out single records"),
        (lambda: dv.rule.mean_shift("n", within="0%"), "within='0%' is not a percentage"),
        (lambda: dv.rule.mean_shift("n", within="5%", over=0), "over=0: a whole number from 1 on"),
        (lambda: declared(dv.rule.mean_shift("name", within="5%")), "column name is of type string: it takes numbers"),
        (lambda: dv.rule.references("name", "products"), r"references of name: 'products' is not a dv\.dimension"),
        (lambda: dv.rule.unique(), "unique: give one column or more"),
        (lambda: dv.rule.unique("n", within="long"), "within='long' is not a length of time"),
        (lambda: dv.rule.unique("n", otherwise="drop"), "takes records out, and what it is about is not in them"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_rule_is_refused_at_its_line(make, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        make()
    assert caught.value.where == f"test_rules.py:{make.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("rules", "message"), [("n > 0", "rules must be a list, not 'n > 0'"), (["n > 0"], r"'n > 0' is not a dv\.rule")]
)
def test_what_is_no_list_of_rules_is_refused(rules, message):
    with pytest.raises(DeclarationError, match=message):
        dv.source("orders", schema=SCHEMA, rules=rules)


@pytest.mark.parametrize(
    "condition",
    [
        "n > 0 and not (price < 1 or x is null)",
        "case when n = 1 then 2 else 3 end > 1",
        "at > timestamp'2026-01-01' - interval 3 days and at <> timestamp '2026-01-02'",
        "exists(array(n), y -> y > 0)",
        "name::int > 0 and `N` = 1 -- unknwon > 1",
        "name = 'other > 1' and name not like '%=' and n not in (1, 2)",
        "like(name, 'a%') or -n < 0 and x between 1 and 2",
        "size(split(name, ',')) * 2 > 1 /* y > 2 */",
    ],
)
def test_what_may_be_right_is_left_to_the_engine(condition):
    assert (fault(condition), unknown_operand(condition, declared().columns)) == ("", "")
