"""What a statement cannot ask is refused by name and place, before any view is looked at."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.serving.sql import statement
from dovetail.serving.sql_text import DEEPEST, LONGEST
from dovetail.serving.sql_where import MOST_VALUES
from dovetail.shared.errors import QueryError

OF_FORM = [
    ("", "there is no statement"),
    (" ; ", "; cannot be asked"),
    ("EXPLAIN SELECT a FROM v", "EXPLAIN cannot be asked (line 1, column 1)"),
    ("INSERT INTO v VALUES (1)", "INSERT cannot"),
    ("COPY v TO 'f'", "COPY cannot"),
    ("ATTACH 'f' AS v", "ATTACH cannot"),
    ("PRAGMA version", "PRAGMA cannot"),
    ("SET a = 1", "SET cannot"),
    ("FROM v", "FROM cannot"),
    ("(SELECT a FROM v)", "( cannot"),
    ("WITH w AS (SELECT 1) SELECT a FROM w", "WITH cannot"),
    ("SELECT a FROM v; SELECT b FROM v", "a second statement cannot be asked (line 1, column 18)"),
    ("SELECT a FROM v; DROP TABLE v", "a second statement"),
    ("SELECT a FROM v UNION SELECT a FROM w", "UNION cannot be asked (line 1, column 17)"),
    ("SELECT a FROM v EXCEPT SELECT a FROM w", "EXCEPT cannot"),
    ("SELECT a\nFROM v WHERE AND", "not understood at 'AND' (line 2, column 14)"),
    ("SELECT a FROM v WHERE a = 'x", "ends within a text"),
    ("SELECT a FROM (? AT b) GROUP BY a", "? cannot"),
    ("SELECT a FROM E @b AT", "not understood"),
    ("SELECT a FROM v /* WHERE a = 1", "ends within a text, a name or a comment"),
    ("SELECT a FROM v WHERE " + "(" * (DEEPEST + 1) + "a = 1" + ")" * (DEEPEST + 1), f"more than {DEEPEST} brackets"),
    ("SELECT a FROM v WHERE " + "NOT " * 1_900 + "a", "nested too deeply"),
    ("SELECT a FROM v WHERE a = '" + "é" * (LONGEST // 2) + "'", "at most 8,192 bytes"),
    ("SELECT a FROM v WHERE a IN (" + ",".join("1" * (MOST_VALUES + 1)) + ") GROUP BY a", "IN holds 1 to 1,000 values"),
]
OF_SELECT = [
    ("SELECT SUM(a) FROM v", "SUM() cannot be asked (line 1, column 8)"),
    ("SELECT COUNT(*) FROM v", "COUNT() cannot"),
    ("SELECT getenv('HOME') FROM v", "GETENV() cannot"),
    ("SELECT MEASURE(a) / MEASURE(b) AS c FROM v", "/ cannot"),
    ("SELECT -MEASURE(a) FROM v", "- cannot"),
    ("SELECT CASE WHEN a = 1 THEN 2 END FROM v", "CASE cannot"),
    ("SELECT CAST(a AS INT) FROM v", "CAST cannot"),
    ("SELECT a::int FROM v", ":: cannot be asked (line 1, column 9)"),
    ("SELECT a->b FROM v", "-> cannot"),
    ("SELECT a[1] FROM v", "[ cannot"),
    ("SELECT (SELECT a FROM v) FROM v", "a subquery cannot be asked (line 1, column 9)"),
    ("SELECT MEASURE(a) OVER () FROM v", "a window function cannot"),
    ("SELECT MEASURE(a) FILTER (WHERE b = 1) FROM v", "FILTER cannot"),
    ("SELECT MEASURE(a, b) FROM v", "MEASURE() of this"),
    ("SELECT MEASURE(*) FROM v", "MEASURE() of this"),
    ("SELECT MEASURE('a') FROM v", "MEASURE() of this"),
    ("SELECT MEASURE(DISTINCT a) FROM v", "MEASURE() of this"),
    ("SELECT 1 FROM v", "a literal cannot"),
    ("SELECT 'a' FROM v", "a literal cannot"),
    ("SELECT DISTINCT a FROM v GROUP BY a", "DISTINCT cannot"),
    ("SELECT a INTO w FROM v GROUP BY a", "INTO cannot"),
    ("SELECT a, a FROM v GROUP BY a", "two columns are called 'a' (line 1, column 11)"),
    ("SELECT a FROM v", "'a' is not in GROUP BY (line 1, column 8)"),
    ("SELECT a b FROM v GROUP BY c", "'a' is not in GROUP BY"),
    ("SELECT DATE_TRUNC('day', a) FROM v GROUP BY 1", "DATE_TRUNC() of this"),
    ("SELECT DATE_TRUNC('day', bucket, zone) FROM v GROUP BY 1", "DATE_TRUNC() of this"),
    ("SELECT DATE_TRUNC('era', bucket) FROM v GROUP BY 1", "unknown unit 'era'"),
    ("SELECT TIME_BUCKET(INTERVAL '1 day', bucket) FROM v GROUP BY 1", "TIME_BUCKET() of this"),
    ("SELECT DATE_TRUNC('day', bucket) FROM v GROUP BY bucket", "'bucket' is not the time that is grouped by"),
    ("SELECT MEASURE(a)", "a statement is from a view"),
]
OF_FROM = [
    ("SELECT a FROM 'a.csv' GROUP BY a", "the text 'a.csv' as a table cannot be asked (line 1, column 15)"),
    ("SELECT a FROM read_csv('a.csv') GROUP BY a", "READ_CSV() as a table"),
    ("SELECT a FROM (SELECT a FROM v) GROUP BY a", "a subquery cannot"),
    ("SELECT a FROM (v) GROUP BY a", "a subquery as a table"),
    ("SELECT a FROM s.v GROUP BY a", "a schema cannot"),
    ("SELECT a FROM v AS w(b) GROUP BY a", "a list of columns cannot"),
    ("SELECT a FROM v TABLESAMPLE (10 PERCENT) GROUP BY a", "TABLESAMPLE cannot"),
    ("SELECT a FROM v, w GROUP BY a", "JOIN of this"),
    ("SELECT a FROM v JOIN w ON v.a = w.a GROUP BY a", "ON cannot"),
    ("SELECT a FROM v NATURAL JOIN w GROUP BY a", "JOIN of this"),
    ("SELECT a FROM v CROSS JOIN w GROUP BY a", "CROSS JOIN of this"),
    ("SELECT a FROM v SEMI JOIN w USING (a) GROUP BY a", "SEMI JOIN of this"),
    ("SELECT a FROM v RIGHT JOIN w USING (a) GROUP BY a", "RIGHT JOIN of this"),
    (
        "SELECT a FROM v JOIN w USING (a) JOIN x USING (a) GROUP BY a",
        "a second JOIN cannot be asked (line 1, column 34)",
    ),
    ("SELECT a FROM v, w JOIN x USING (a) GROUP BY a", "JOIN of this"),
    ("SELECT a FROM v LEFT JOIN LATERAL w USING (a) GROUP BY a", "LATERAL cannot"),
    ("SELECT a FROM v JOIN v USING (a) GROUP BY a", "two are called v"),
    ("SELECT a FROM v JOIN w USING (a, b) GROUP BY a", "joined by the columns that both are grouped by"),
    ("SELECT a FROM v JOIN w USING (a) GROUP BY a, DATE_TRUNC('day', bucket)", "joined by the columns that both"),
    ("SELECT a, MEASURE(m) FROM v JOIN w USING (a) GROUP BY a", "MEASURE(m) is of which view? (line 1, column 11)"),
    ("SELECT a FROM v JOIN w USING (a) WHERE b = 1 GROUP BY a", "'b' is of which view?"),
    ("SELECT a FROM v JOIN w USING (a) WHERE v.bucket >= '2026-03-01' GROUP BY a", "'bucket' is of which view?"),
    ("SELECT a FROM v LEFT JOIN w USING (a) WHERE w.b = 1 GROUP BY a", "w.b: rows that have none of w"),
    ("SELECT a FROM v LEFT JOIN w USING (a) WHERE w.a = 1 GROUP BY a", "w.a: rows that have none of w"),
    ("SELECT a FROM v FULL JOIN w USING (a) WHERE v.b = 1 GROUP BY a", "v.b: rows that have none of v"),
    ("SELECT v.b FROM v JOIN w USING (a) GROUP BY a, v.b", "GROUP BY b cannot"),
]
OF_WHERE = [
    ("a = 1 OR b = 2", "OR is only for values of one column (line 1, column 23)"),
    ("a = 1 OR (b = 2 AND c = 3)", "OR is only for values of one column"),
    ("a < 1 OR a > 5", "OR is only for values of one column"),
    ("a <> 1 OR a <> 2", "OR is only for values of one column"),
    ("a <> 1 OR a = 2", "OR is only for values of one column"),
    ("a IS NOT NULL OR a IS NULL", "OR is only for values of one column"),
    ("a = NULL", "a comparison with NULL cannot be asked: it is never true"),
    ("a IN (1, NULL)", "a comparison with NULL"),
    ("a NOT IN (1, NULL)", "a comparison with NULL"),
    ("a < 5 AND a < 7", "'a' is compared twice in the same way (line 1, column 33)"),
    ("a = 5 AND a = 7", "'a' is compared twice in the same way"),
    ("a IN ()", "IN holds 1 to 1,000 values"),
    ("a IN (SELECT 1)", "a subquery cannot be asked (line 1, column 29)"),
    ("a IN (b)", "a column as a value"),
    ("a = b", "a column as a value"),
    ("1 = a", "a literal in WHERE"),
    ("a + 1 = 2", "+ in WHERE"),
    ("lower(a) = 'x'", "LOWER() in WHERE"),
    ("MEASURE(a) > 1", "MEASURE() in WHERE"),
    ("a = getvariable('x')", "GETVARIABLE() as a value"),
    ("a = - -5", "- as a value"),
    ("a = 'x' 'y'", "CONCAT as a value"),
    ("a = INTERVAL '1 day'", "INTERVAL as a value"),
    ("a = DATE '2026-03-01 10:00'", "CAST as a value"),
    ("a = TIMESTAMP '2026-03-01T10:00+01:00'", "CAST as a value"),
    ("a = $1", "a column as a value"),
    ("a = ?", "? cannot"),
    ("a LIKE '%x'", "LIKE of this"),
    ("a LIKE 'x_%'", "LIKE of this"),
    ("a LIKE 'x'", "LIKE of this"),
    ("a LIKE 'x\\%'", "LIKE of this"),
    ("a LIKE 5", "LIKE of this"),
    ("a NOT LIKE 'x%'", "NOT LIKE cannot"),
    ("a LIKE 'x%' ESCAPE '!'", "ESCAPE as a condition"),
    ("a ILIKE 'x%'", "ILIKE as a condition"),
    ("a IS TRUE", "IS as a condition"),
    ("a IS DISTINCT FROM 1", "a second FROM cannot"),
    ("a <=> 1", "<=> cannot"),
    ("a BETWEEN SYMMETRIC 1 AND 2", "SYMMETRIC cannot"),
    ("a NOT BETWEEN 1 AND 2", "NOT as a condition"),
    ("NOT a <> 1", "NOT as a condition"),
    ("NOT (a = 1 AND b = 1)", "NOT as a condition"),
    ("EXISTS (SELECT 1)", "a subquery cannot"),
    ("EXISTS (b)", "EXISTS() as a condition"),
    ("a", "a column as a condition"),
    ("(a, b) IN ((1, 2))", "a row of values in WHERE"),
    ("bucket > '2026-03-01'", "the time is bounded from its first instant to before its last"),
    ("bucket = '2026-03-01'", "the time is bounded"),
    ("bucket >= 20260301", "the time is bounded"),
    ("bucket IS NOT NULL", "the time is bounded"),
    ("bucket BETWEEN '2026-03-01' AND '2026-03-02'", "the time is bounded"),
    ("DATE_TRUNC('day', bucket) >= '2026-03-01'", "DATE_TRUNC() in WHERE"),
]
OF_REST = [
    ("GROUP BY a, MEASURE(b)", "GROUP BY b cannot"),
    ("GROUP BY ALL", "ALL cannot"),
    ("GROUP BY ROLLUP (a)", "ROLLUP cannot"),
    ("GROUP BY 2", "there is no column 2 in SELECT"),
    ("GROUP BY a, DATE_TRUNC('day', bucket), DATE_TRUNC('week', bucket)", "two times cannot be grouped by at once"),
    ("GROUP BY a HAVING b > 1", "a column in HAVING"),
    ("GROUP BY a HAVING COUNT(*) > 1", "COUNT() in HAVING"),
    ("GROUP BY a HAVING MEASURE(b) > MEASURE(c)", "MEASURE() as a value"),
    ("GROUP BY a HAVING MEASURE(b) > 1 OR MEASURE(c) > 1", "OR is only for values of one column"),
    ("GROUP BY a ORDER BY b", "'b' is not in GROUP BY"),
    ("GROUP BY a ORDER BY a NULLS FIRST", "NULLS FIRST cannot"),
    ("GROUP BY a ORDER BY a + 1", "+ cannot"),
    ("GROUP BY a ORDER BY 0", "there is no column 0 in SELECT"),
    ("GROUP BY a ORDER BY 'a'", "a literal here"),
    ("GROUP BY a QUALIFY 1 = 1", "QUALIFY cannot"),
    ("GROUP BY a LIMIT 0", "rows 1 to 100,000"),
    ("GROUP BY a LIMIT 100001", "rows 1 to 100,000"),
    ("GROUP BY a LIMIT 100000 OFFSET 1", "rows 1 to 100,000"),
    ("GROUP BY a OFFSET 100000", "rows 1 to 100,000"),
    ("GROUP BY a LIMIT -1", "- here"),
    ("GROUP BY a LIMIT ALL", "a column here"),
    ("GROUP BY a LIMIT 5 PERCENT", "PERCENT or WITH TIES cannot"),
    ("GROUP BY a FETCH FIRST 5 ROWS ONLY", "FETCH cannot"),
    ("GROUP BY a FOR UPDATE", "FOR UPDATE cannot"),
]
WORDS = """
SELECT a FROM v WHERE ( ) , = <> < IN NOT AND OR IS NULL LIKE 'x%' GROUP BY MEASURE DATE_TRUNC bucket HAVING ORDER LIMIT
5 OFFSET JOIN USING * - . ; CASE WHEN END OVER CAST AS :: [ ] { } -> ? $ 'a' "b" -- /* */ UNION BETWEEN DESC
"""
EVERY = [
    *OF_FORM, *OF_SELECT, *OF_FROM,
    *((f"SELECT a FROM v WHERE {text} GROUP BY a", says) for text, says in OF_WHERE),
    *((f"SELECT a FROM v {text}", says) for text, says in OF_REST),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), EVERY, ids=lambda value: value[:60])
def test_it_is_refused_by_name_with_what_can_be_asked(text: str, says: str) -> None:
    with pytest.raises(QueryError) as refused:
        statement(text)
    assert says in ": ".join(filter(None, (refused.value.what, refused.value.why)))
    assert refused.value.next


@given(
    st.lists(st.sampled_from(WORDS.split()), max_size=30).map(" ".join) | st.text(max_size=60).map("SELECT ".__add__)
)
def test_whatever_is_written_is_a_statement_or_refused(text: str) -> None:
    with suppress(QueryError):
        statement(text)


@pytest.mark.parametrize(
    "part", ["DECODE JOIN 'x'", "a LIMIT STRUCT (", "( UNION", "TRY_CAST . SUBSTRING JOIN", "(" * 8]
)
def test_what_the_parser_would_try_for_minutes_is_refused_at_once(part: str) -> None:
    with pytest.raises(QueryError):
        statement(f"SELECT a FROM v WHERE {part * 30} a = 1 {')' * 30}")


def test_a_comment_and_a_last_semicolon_change_nothing() -> None:
    assert statement("SELECT a -- all\nFROM v /* of them */ GROUP BY a ;") == statement("SELECT a FROM v GROUP BY a")
