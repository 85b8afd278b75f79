"""Judging: what a commit comes to under each kind of rule, in real Spark; rules on a commit over a ledger's history."""

import json
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

import dovetail as dv
from dovetail.shared import alarm
from dovetail.shared.decode import RAW, REASON, decode
from dovetail.shared.engine import arrow
from dovetail.shared.errors import DeclarationError, RuleBroken
from dovetail.shared.fold import folded
from dovetail.shared.forgotten import Forgotten, hashed
from dovetail.shared.judge import Judge, refuse_unfit
from dovetail.shared.ledger import Books, LedgerRow
from dovetail.shared.position import Position, Range

pytestmark = pytest.mark.java

SCHEMA = "n bigint, x double, name string, at timestamp"
SPAN = Range(Position({0: 0}), Position({0: 9}))
NOON = datetime(2026, 11, 1, 12)
SECRET = bytes(32)


class History:
    """A LedgerStore in memory, which counts how often it is read."""

    def __init__(self) -> None:
        self.stored, self.reads = [], 0

    def last(self):
        return self.stored[-1] if self.stored else None

    def rows(self, after=-1):
        self.reads += 1
        return self.stored[after + 1 :]

    def commit(self, done, kind="commit"):
        self.stored.append(LedgerRow(len(self.stored), 0, kind, SPAN, {}, "t", books=done.books, stats=done.stats))


def source(*rules, schema=SCHEMA):
    return dv.source("events", schema=schema, event_time="at", rules=rules)


def records(spark, *values):
    """Records with event time noon unless they say, which came into the log then too."""
    at = {"at": "2026-11-01T12:00:00Z"}
    raw = [v if isinstance(v, bytes) else json.dumps(at | v).encode() for v in values]
    return spark.createDataFrame([(0, i, NOON, None, bytearray(v), None) for i, v in enumerate(raw)], RAW)


def version(spark, of):
    view = dv.view("v", source=of, measures={"rows": dv.count()})
    return SimpleNamespace(
        name="v", version="v@1", decoder=of.as_json(), view=view, keys=(), bucket_seconds=None,
        measures=view.measures, where="views.py:1", placed=False,
    )  # fmt: skip


def judged(spark, rules, *values, judge=None):
    of = source(*rules)
    rows = decode(records(spark, *values), of.as_json())
    return folded(rows, judge or Judge(of, History()), [version(spark, of)], SPAN)


def counted(done) -> int:
    """The rows that the view saw."""
    return sum(slice_["_rows"].to_pylist()[0] for slice_ in done.states["v@1"] if slice_.num_rows)


def test_without_rules_nothing_is_counted_but_what_always_is(spark):
    done = judged(spark, [], {"n": 1}, b"broken")
    assert (done.broken, done.stats) == ({}, {})
    assert [*Judge(source(), History()).figures] == ["forgotten"]
    assert done.books == Books(2, 1, 1, 0, 0, 1)


@pytest.mark.parametrize(
    ("otherwise", "books", "seen", "kept"),
    [
        ("quarantine", Books(5, 2, 3, 0, 0, 2), 2, ["breaks the rule 'n > 0'"] * 2),
        ("drop", Books(5, 4, 1, 0, 0, 2, 2), 2, []),
        ("warn", Books(5, 4, 1, 0, 0, 4), 4, []),
    ],
)
def test_what_breaks_a_rule_is_counted_and_goes_where_the_rule_says(spark, otherwise, books, seen, kept):
    bad = b'{"n": -7, "at": "2026-11-01T12:00:00Z"}'
    rules = [dv.rule("n > 0", otherwise=otherwise)]
    unread = b'{"n": 0, "at": "yesterday"}'  # what no rule judges, though its n can be told
    done = judged(spark, rules, {"n": 1}, {"n": 0}, bad, {"n": None}, unread)
    assert (done.books, counted(done)) == (books, seen)
    assert done.broken == {("n > 0", otherwise): 2}
    done.books.check()
    reasons = [r for r in done.quarantined["reason"].to_pylist() if r.startswith("breaks")]
    assert reasons == kept
    assert (bad in done.quarantined["value"].to_pylist()) == bool(kept)


def test_a_record_counts_under_the_first_rule_that_takes_it_out_quarantine_before_drop(spark):
    rules = [
        dv.rule("n <> 1", otherwise="warn"),
        dv.rule("n > 0", otherwise="drop"),
        dv.rule("n <> -1", otherwise="quarantine"),
        dv.rule("name is not null", otherwise="fail"),
    ]
    done = judged(spark, rules, {"n": -1}, {"n": -2}, {"n": 1, "name": "a"})
    assert done.broken == {("n <> 1", "warn"): 1, ("n > 0", "drop"): 1, ("n <> -1", "quarantine"): 1}
    assert done.quarantined["reason"].to_pylist() == ["breaks the rule 'n <> -1'"]


def test_who_is_forgotten_counts_for_no_rule_and_no_view_and_nothing_of_them_is_kept(spark):
    known = Forgotten(SECRET, {"name": frozenset({hashed("gone", SECRET)})})
    judge = Judge(source(dv.rule("n > 0")), History(), forgotten=SimpleNamespace(now=lambda: known))
    done = judged(
        spark, [], {"n": 1, "name": "gone"}, {"n": -1, "name": "gone"}, {"n": 3, "name": "stays"}, judge=judge
    )
    assert (done.books, counted(done), done.quarantined) == (Books(3, 3, 0, 0, 0, 1, 2), 1, None)
    assert done.broken == {("forgotten", "drop"): 2}


def test_a_broken_rule_that_says_fail_refuses_the_commit_and_names_rule_record_and_command(spark):
    rule = dv.rule("n > 0", otherwise="fail")
    with pytest.raises(RuleBroken) as caught:
        judged(spark, [rule], {"n": 1}, {"n": -1}, {"n": -2})
    assert caught.value.what == ("events: record 0@1 (and 1 more of 0@0..9) breaks the rule 'n > 0', which says fail")
    assert caught.value.where == rule.where
    assert caught.value.next.endswith("then: dovetail speed events")


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (dv.rule.in_range("n", low=1, high=3), [{"n": 1}, {"n": 3}, {"n": None}], [{"n": 0}, {"n": 4}]),
        (dv.rule.in_range("at", low=NOON), [{}], [{"at": "2026-11-01T11:59:59.999999Z"}]),
        (dv.rule.one_of("name", ["it's", "é", "a\\n"]), [{"name": "it's"}, {"name": "é"}, {"name": "a\\n"}, {}],
         [{"name": "its"}, {"name": "a\n"}, {"name": ""}]),
        (dv.rule.matches("name", r"^[0-9]{2}$"), [{"name": "12"}, {}], [{"name": "123"}, {"name": "1x"}]),
        (dv.rule.castable("name", "int"), [{"name": "12"}, {"name": "-7"}, {}], [{"name": "12a"}, {"name": ""}]),
        (dv.rule.fresh(within="1 hour"), [{"at": "2026-11-01T11:00:00Z"}, {"at": "2099-01-01T00:00:00Z"}],
         [{"at": "2026-11-01T10:59:59.999Z"}, {"at": "2026-11-01T10:59:59.999999Z"}]),
        (dv.rule.not_future(by="1 hour"), [{"at": "2026-11-01T13:00:00Z"}, {"at": "0001-01-01T00:00:00Z"}],
         [{"at": "2026-11-01T13:00:00.001Z"}, {"at": "9999-12-31T23:59:59Z"}]),
        (dv.rule("n > 0 -- a comment"), [{"n": 1}], [{"n": 0}]),
        (dv.rule("name <> 'it''s'", name="it's `one` \\ of ${env:HOME}"), [{"name": "a"}], [{"name": "it's"}]),
        (dv.rule.one_of("name", ["${env:HOME}", "${"]), [{"name": "${env:HOME}"}, {"name": "${"}], [{"name": "/"}]),
    ],
    ids=["in_range", "in_range of times", "one_of", "matches", "castable", "fresh", "not_future", "comment",
         "quotes", "variables"],
)  # fmt: skip
def test_each_kind_of_rule_tells_the_good_from_the_bad(spark, rule, good, bad):
    of = source(rule)
    refuse_unfit(of, spark)
    rows = decode(records(spark, *good, *bad), of.as_json()).orderBy("_offset").select(REASON)
    assert arrow(rows)[REASON].to_pylist() == [None] * len(good) + [f"breaks the rule '{rule.name}'"] * len(bad)
    done = judged(spark, [rule], *good, *bad)
    assert done.broken == {(rule.name, "quarantine"): len(bad)}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (dv.rule("abs(m) > 0"), "unknown column 'm'"),
        (dv.rule("n + 1"), "it gives bigint, not true or false"),
        (dv.rule("n > > 0"), "PARSE_SYNTAX_ERROR"),
        (dv.rule("abs(_offset) > 0"), "unknown column '_offset'"),
        (dv.rule("abs(unix_millis(_timestamp)) > 0"), "unknown column '_timestamp'"),
        (dv.rule("nosuch(n)"), "UNRESOLVED_ROUTINE"),
        (dv.rule.one_of("at", [datetime(2026, 1, 1)]), None),
    ],
    ids=lambda v: getattr(v, "condition", v),
)
def test_what_only_the_engine_can_refuse_is_told_with_the_rules_line(spark, rule, message):
    if message is None:
        refuse_unfit(source(rule), spark)
        return
    with pytest.raises(DeclarationError, match=message) as caught:
        refuse_unfit(source(rule), spark)
    assert caught.value.where == rule.where


def nulls(of: int, among: int) -> list[dict]:
    return [{"n": None}] * of + [{"n": 1}] * (among - of)


def test_a_null_rate_is_taken_over_the_last_commits_and_this_one(spark):
    history = History()
    judge = Judge(source(dv.rule.null_rate("n", below="20%", over=2, least=10, name="r")), history)
    seen = []
    for values in (nulls(5, 5), nulls(0, 5), nulls(0, 20), nulls(5, 20)):
        history.commit(done := judged(spark, judge.source.rules, *values, judge=judge))
        history.commit(judged(spark, []), kind="attach")  # rows between them change nothing
        seen.append(bool(done.broken))
    assert seen == [False, True, False, False]  # 5 records: too few; 5 of 10; 0 of 25; 5 of 40
    assert history.stored[0].stats == {"n": {"nulls": 5}}
    history.commit(done := judged(spark, judge.source.rules, *nulls(4, 20), judge=judge))
    assert done.broken == {("r", "warn"): 1}  # 9 of 40


def test_a_mean_is_compared_with_that_of_the_commits_before(spark):
    history = History()
    rule = dv.rule.mean_shift("x", within="50%", over=2, least=3, name="r", otherwise="fail")
    judge = Judge(source(rule), history)

    def commit(*values):
        history.commit(judged(spark, [rule], *({"x": x} for x in values), judge=judge))

    commit(10.0, 10.0, None, "NaN")  # nothing before it
    commit(1000.0)  # compared with two values: too few
    history.stored.pop()
    commit(20.0)
    commit(15.0, 15.0, 15.0)  # from 40/3: 12.5 % up
    commit(9000.0, 1.0)  # two values: too few
    history.stored.pop()
    with pytest.raises(
        RuleBroken, match=r"the mean of x went from 16.25 to 30 \(\+84.6%\), in 0@0..9 breaks the rule 'r'"
    ):
        commit(30.0, 30.0, 30.0)  # from (20 + 45)/4
    assert [r.stats["x"]["n"] for r in history.stored] == [2, 1, 3]
    assert history.stored[0].stats == {"x": {"n": 2, "sum": 20.0}}


def test_the_ledger_is_read_once_and_then_followed(spark):
    history = History()
    rule = dv.rule.null_rate("n", below="50%", over=3, least=1)
    judge = Judge(source(rule), history)
    for _ in range(5):
        history.commit(judged(spark, [rule], *nulls(0, 2), judge=judge))
    reads = history.reads
    assert reads <= 2
    fresh = Judge(source(rule), history)
    for one in (judge, fresh):
        assert [r.seq for r in one._last(3)] == [2, 3, 4]
        assert [r.seq for r in one._last(1)] == [4]


def test_records_that_no_view_sees_are_in_no_statistic(spark):
    rules = [
        dv.rule("n is null or n > 0", otherwise="drop"),
        dv.rule.null_rate("n", below="5%"),
        dv.rule.mean_shift("n", within="5%"),
    ]
    done = judged(spark, rules, {"n": -1}, {"n": 3}, {"n": None}, b"{")
    assert done.stats == {"n": {"nulls": 1, "n": 1, "sum": 3.0}}
    assert judged(spark, rules, b"{").stats == {}


def test_a_commit_that_puts_too_much_in_quarantine_is_refused(spark, monkeypatch):
    monkeypatch.setattr(alarm, "LEAST", 1)
    of, ledger = source(), History()
    judge = Judge(of, ledger, alarm=alarm.Alarm(of, ledger, 0.2))
    with pytest.raises(RuleBroken, match=r"events: 1 of 2 records \(50.0%\) of the last commit go to quarantine"):
        judged(spark, [], {"n": 1}, b"broken", judge=judge)


def test_what_is_slow_to_come_is_told_by_kafkas_time_and_not_by_the_clock(spark):
    of = source(dv.rule.fresh(within="1 hour"))
    raw = records(spark, *({"at": (NOON - timedelta(minutes=late)).isoformat() + "Z"} for late in (120, 30)))
    reasons = [r[REASON] for r in decode(raw, of.as_json()).orderBy("_offset").collect()]
    assert reasons == ["breaks the rule 'fresh within 1 hour'", None]
