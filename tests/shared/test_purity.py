"""The static check of transforms: what is not row-wise is refused with file and line; what is, passes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from dovetail.shared.purity import Problem, problems
from dovetail.shared.rowwise import AGGREGATE, CLOCK, METHODS, ORDER, READ, sql_reasons

HEAD = """\
import datetime, os, random, time, uuid
from datetime import date
from time import time as clock
from pyspark.sql import DataFrame, SparkSession, Window, functions as F
from pyspark.sql.functions import col, sum as total
import pyspark.sql.functions

NAMES = ["a", "b"]
RULE = "sum(quantity) > 1"
"""
_numbers = count()


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"purity_case_{next(_numbers)}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(folder: Path, body: str, head: str = HEAD) -> list[Problem]:
    """The problems of a transform with this body; its first line is line 12."""
    lines = dedent(body).strip("\n").splitlines()
    file = folder / "transforms.py"
    file.write_text(f"{head}\n\ndef clean(lines, spark=None):\n" + "".join([f"    {line}\n" for line in lines]))
    return problems(loaded(file).clean, project=folder)


REFUSED = [
    # aggregation
    "lines.groupBy('a').count()", "lines.groupby('a')", "lines.agg(F.max('a'))", "lines.rollup('a')", "lines.cube('a')",
    "lines.pivot('a')", "lines.distinct()", "lines.dropDuplicates()", "lines.drop_duplicates(['a'])", "F.sum('a')",
    "F.count('*')", "F.max('a')", "F.collect_list('a')", "F.first_value('a')", "F.countDistinct('a')", "total('a')",
    "F.hll_sketch_agg('a')", "F.regr_slope('a', 'b')", "pyspark.sql.functions.min('a')", "map(F.avg, NAMES)",
    # order
    "lines.orderBy('a')", "lines.sort('a')", "lines.sortWithinPartitions('a')", "lines.limit(1)", "lines.offset(1)",
    "lines.head()", "lines.take(1)", "lines.first()", "lines.tail(1)", "lines.sample(0.1)", "lines.randomSplit([1.0])",
    "lines.intersect(lines)", "lines.subtract(lines)", "lines.exceptAll(lines)",
    # windows
    "Window.partitionBy('a')", "F.lag('a')", "F.lead('a')", "F.row_number()", "F.window('a', '1 hour')",
    "F.session_window('a', '1 hour')", "col('a').over(spark)",
    # clocks and chance
    "F.current_timestamp()", "F.current_date()", "F.now()", "F.localtimestamp()", "F.unix_timestamp()", "F.rand()",
    "F.randn()", "F.shuffle('a')", "F.monotonically_increasing_id()", "F.input_file_name()", "F.spark_partition_id()",
    "datetime.datetime.now()", "datetime.datetime.utcnow()", "date.today()", "time.time()", "clock()", "time.time_ns()",
    "random.random()", "random.choice([1])", "uuid.uuid4()", "os.environ['A']", "os.environ.get('A')", "os.getenv('A')",
    # actions
    "lines.collect()", "lines.count()", "lines.show()", "lines.toPandas()", "lines.toArrow()", "lines.foreach(print)",
    "lines.write.save('x')", "lines.writeStream", "lines.persist()", "lines.cache()", "lines.checkpoint()",
    "lines.isEmpty()", "lines.rdd", "lines.isStreaming", "DataFrame.count(lines)", "getattr(lines, 'count')()",
    # reads and joins
    "spark.read.csv('x')", "lines.sparkSession", "SparkSession.builder", "spark.table('x')", "open('x')",
    "spark.sql('select 1')", "lines.crossJoin(lines)", "lines.join(lines, 'a')", "lines.join(lines, on='a')",
    # SQL in text
    "F.expr('sum(a)')", "lines.selectExpr('a', 'max(b) as c')", "lines.filter('a > now()')", "F.expr('uuid()')",
    "lines.where('a < current_date')", "lines.where(f'sum({lines}) > 1')", "lines.filter(RULE)",
    "lines.filter('rank() ' + 'over (order by a) = 1')", "F.expr('unix_timestamp()')", "lines.where('a = (select 1)')",
    "F.call_function('sum', 'a')", "lines.filter('{} > count(1)'.format('a'))", "lines.selectExpr(\"'${env:HOME}'\")",
    # code that cannot be read
    "eval('1')", "exec('1')",
]  # fmt: skip

ACCEPTED = [
    "F.greatest('a', 'b')", "F.least('a', 'b')", "F.size('a')", "F.array_max('a')", "F.array_min('a')",
    "F.aggregate('a', F.lit(0), lambda x, y: x + y)", "F.explode('a')", "F.sort_array('a')", "F.unix_timestamp('a')",
    "F.exists('a', lambda x: x > 1)", "F.date_trunc('day', 'a')", "F.upper(col('a'))", "F.element_at('a', 1)",
    "lines.withColumn('a', F.col('b') * 2)", "lines.filter(col('a') > 1).where('b > 1').select('a')", "lines.drop('a')",
    "lines.filter(\"a = 'sum(x)' or b = \\\"now()\\\" and `count(1)` > 0\")", "lines.selectExpr('greatest(a, b)')",
    "F.expr('filter(xs, x -> x > 1)')", "lines.dropna(subset=['a'])", "lines.join", "sum([1]) + max(1, 2) + min(1, 2)",
    "'abc'.count('a')", "[1, 2].count(1)", "NAMES.count('a')", "lines.columns.count('a')", "', '.join(NAMES)",
    "f'{lines}'.count('a')", "str(lines).count('a')", "[c for c in lines.columns if c.count('a')]", "sorted(NAMES)",
    "[n.count('a') for n in NAMES]", "uuid.uuid5(uuid.NAMESPACE_DNS, 'a')", "datetime.datetime(2026, 1, 1)",
    "datetime.timedelta(days=1)", "os.path.join('a', 'b')", "lines.select(*[c for c in lines.columns])", "col('first')",
    "lines.withColumn('count', col('sum'))", "lines.unionByName(lines)", "'a,b'.split(',')[0].count('a')",
]  # fmt: skip


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_not_row_wise_is_refused_with_its_line(tmp_path: Path, code: str) -> None:
    found = check(tmp_path, f"kept = 1\nmade = {code}\nreturn lines")
    assert found
    assert {(p.file, p.line, p.function) for p in found} == {(tmp_path / "transforms.py", 14, "clean")}
    assert all(": " in p.message and len(p.message.split(": ", 1)[1]) > 20 for p in found)


@pytest.mark.parametrize("code", ACCEPTED)
def test_what_is_row_wise_passes(tmp_path: Path, code: str) -> None:
    assert check(tmp_path, f"made = {code}\nreturn lines") == []


def test_a_problem_says_what_where_why_and_what_instead(tmp_path: Path) -> None:
    [problem] = check(tmp_path, "return lines.withColumn('a', F.sum('b'))")
    assert str(problem) == f"{tmp_path / 'transforms.py'}:13 in clean: F.sum: {AGGREGATE}"


def test_each_link_of_a_chain_is_told_at_its_own_line(tmp_path: Path) -> None:
    found = check(tmp_path, "return (\n    lines.filter('a > 1')\n    .distinct()\n    .limit(3)\n)")
    assert [(p.message, p.line) for p in found] == [(f".distinct(): {AGGREGATE}", 15), (f".limit(): {ORDER}", 16)]


def test_plain_names_are_followed_inside_a_function(tmp_path: Path) -> None:
    body = """
    parts = "a,b".split(",")
    names = list(lines.columns)
    names.sort()
    for name in names:
        name.count("a")
    for part in parts:
        part.count("a")

    def inner(text: str, many: list[str]):
        return text.count("a"), many.count("a")
    """
    assert check(tmp_path, body) == []


def test_a_name_that_may_hold_rows_is_not_plain(tmp_path: Path) -> None:
    body = """
    kept = "a"
    kept = lines
    kept.count()
    for frame in [lines, lines]:
        frame.count()
    [lines][0].count()
    """
    assert [p.line for p in check(tmp_path, body)] == [15, 17, 18]


def test_imports_and_aliases_inside_a_function_are_followed(tmp_path: Path) -> None:
    body = """
    from pyspark.sql import functions as g
    from pyspark.sql.functions import max as biggest
    import datetime as dt
    made = g.sum
    return g.upper("a"), biggest("a"), dt.datetime.now()
    """
    found = check(tmp_path, body, head="")
    assert [(p.message.split(":")[0], p.line) for p in found] == [("g.sum", 7), ("biggest", 8), ("dt.datetime.now", 8)]


def test_text_kept_in_a_variable_is_read_as_sql(tmp_path: Path) -> None:
    found = check(tmp_path, "rule = 'sum(a) > 1'\nreturn lines.filter(rule)")
    assert [(p.line, p.message) for p in found] == [(14, f"sum in 'sum(a) > 1': {AGGREGATE}")]


def test_a_helper_in_another_file_is_read_and_told_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "purity_helper_lib.py").write_text("def stamp(lines):\n\n    return lines.distinct()\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = check(tmp_path, "return h.stamp(lines)", head="import purity_helper_lib as h\n")
    assert [(p.file, p.line, p.function) for p in found] == [(tmp_path / "purity_helper_lib.py", 3, "stamp")]


def test_a_helper_outside_the_project_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "purity_far_lib.py").write_text("def stamp(lines):\n    return lines.distinct()\n")
    monkeypatch.syspath_prepend(outside)
    assert check(inside, "return h.stamp(lines)", head="import purity_far_lib as h\n") == []


def test_a_project_function_may_be_called_like_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "purity_named_lib.py").write_text("def first(lines):\n    return lines\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert check(tmp_path, "return h.first(lines)", head="import purity_named_lib as h\n") == []


def test_the_same_twice_in_a_line_is_told_once(tmp_path: Path) -> None:
    head = "def helper(lines):\n    return lines.distinct().union(lines.distinct())\n"
    assert len(check(tmp_path, "return helper(helper(lines))", head=head)) == 1


@pytest.mark.parametrize("unreadable", [len, lambda lines: lines.count()])
def test_what_cannot_be_read_is_a_problem(tmp_path: Path, unreadable: object) -> None:
    assert callable(unreadable)
    [problem] = problems(unreadable, project=tmp_path)
    assert "cannot be read: write it as a def in a file of the project" in problem.message


def test_sql_is_read_by_the_names_it_calls() -> None:
    found = sql_reasons("greatest(a, SUM (b)) > 0 and c <> 'max(' -- min(\n and d < now() /* avg( */")
    assert found == [("SUM", AGGREGATE), ("now", CLOCK)]
    assert sql_reasons("a > (select 1)") == [("select", READ)]


def test_the_method_names_exist_in_pyspark_or_python() -> None:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.group import GroupedData
    from pyspark.sql.streaming.readwriter import DataStreamWriter

    owners = (DataFrame, Column, SparkSession, GroupedData, DataStreamWriter, Path)
    assert [name for name in METHODS if not any(hasattr(owner, name) for owner in owners)] == []


def test_the_check_brings_no_pyspark(tmp_path: Path) -> None:
    (tmp_path / "views.py").write_text("def clean(lines):\n    return lines.distinct()\n")
    script = (
        "import sys; from pathlib import Path; from dovetail.shared.purity import problems; import views\n"
        "found = problems(views.clean, project=Path.cwd()); sys.exit(len(found) != 1 or 'pyspark' in sys.modules)"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False).returncode == 0
