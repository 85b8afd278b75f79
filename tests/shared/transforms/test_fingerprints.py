"""What a transform of the library adds to a view's fingerprint, and what its check says; all without Spark."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dovetail as dv
from dovetail.shared.closure import normalised, steps
from dovetail.shared.names import unknown_names
from dovetail.shared.purity import problems
from dovetail.shared.transforms import base

T = dv.transforms
NOWHERE = Path("/nowhere")

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
names = st.sampled_from("a b c order_number city `x` é".split())
several = st.lists(names, min_size=1, max_size=3, unique=True)
values = st.none() | texts | st.just("NULL")
numbers = st.integers(-99, 99) | st.decimals(-9, 9, places=2) | st.floats(-9, 9)
edges = st.lists(numbers, min_size=2, max_size=4, unique=True).map(sorted)
formats = st.lists(st.sampled_from(["yyyy", "yyyy-MM-dd", "d/M/yyyy"]), min_size=1, max_size=3, unique=True)

Call = tuple[str, dict[str, Any]]


def called(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


CALLS = [
    called("rename", columns=st.dictionaries(names, st.sampled_from(["x", "y", "z"]), min_size=1, max_size=1)),
    called("cast", types=st.dictionaries(names, st.sampled_from(["int", "date"]), min_size=1), strict=st.booleans()),
    called("derive", columns=st.dictionaries(names, st.sampled_from(["1", "a + 1", "'b'"]), min_size=1)),
    called("flatten", columns=st.none() | several, separator=texts),
    called("explode_items", column=names, keep_empty=st.booleans(), prefix=texts),
    called("trim_empty_to_null", columns=st.none() | several),
    called("standardise", columns=several, case=st.sampled_from([None, "lower", "title"]), whitespace=st.just(True),
           unicode=st.sampled_from([None, "NFC", "NFKC"])),
    called("hash_columns", columns=several, salt=st.text(min_size=9, max_size=12).filter(lambda s: "env:" not in s)),
    called("mask", columns=several, keep=st.integers(0, 9), character=st.characters(codec="utf-8")),
    called("map_values", columns=st.dictionaries(names, st.dictionaries(values, values, min_size=1), min_size=1),
           default=st.just(T.KEEP) | values),
    called("bin", column=names, edges=edges, into=st.none() | st.sampled_from(["x", "y"])),
    called("parse_timestamps", columns=several, formats=formats, zone=st.sampled_from(["UTC", "+01:00"])),
]  # fmt: skip
calls = st.one_of(CALLS)


def made(call: Call) -> base.Step:
    name, arguments = call
    return getattr(T, name)(**arguments)


@given(calls)
def test_equal_declarations_are_equal_and_have_equal_fingerprints(call: Call) -> None:
    one, other = (made(call) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert normalised(one, NOWHERE) == normalised(other, NOWHERE)


@given(st.one_of([st.tuples(call, call) for call in CALLS]) | st.tuples(calls, calls))
def test_what_is_not_equal_has_another_fingerprint(pair: tuple[Call, Call]) -> None:
    one, other = (made(call) for call in pair)
    assert (one == other) == (normalised(one, NOWHERE) == normalised(other, NOWHERE))


CHANGES: list[tuple[Callable[..., base.Step], dict[str, Any], dict[str, Any]]] = [
    (T.rename, {"columns": {"a": "b"}}, {"columns": {"a": "c"}}),
    (T.cast, {"types": {"a": "int"}}, {"types": {"a": "bigint"}, "strict": True}),
    (T.derive, {"columns": {"a": "1"}}, {"columns": {"a": "2"}}),
    (T.flatten, {"columns": "a"}, {"columns": ["b"], "separator": "."}),
    (T.explode_items, {"column": "a"}, {"column": "b", "keep_empty": True, "prefix": "p"}),
    (T.trim_empty_to_null, {"columns": "a"}, {"columns": "b"}),
    (T.standardise, {"columns": "a", "case": "lower"},
     {"columns": "b", "case": "upper", "whitespace": False, "unicode": "NFC"}),
    (T.hash_columns, {"columns": "a", "salt": "pepperpepper"}, {"columns": "b", "salt": "saltsaltsalt"}),
    (T.mask, {"columns": "a"}, {"columns": "b", "keep": 1, "character": "x"}),
    (T.map_values, {"columns": {"a": {"x": "y"}}}, {"columns": {"a": {"x": "z"}}, "default": None}),
    (T.map_values, {"columns": {"a": {1: 2}}}, {"columns": {"a": {1: Decimal(2)}}}),
    (T.map_values, {"columns": {"a": {"x": None}}}, {"columns": {"a": {"x": "NULL"}}}),
    (T.map_values, {"columns": {"a": {date(2026, 1, 1): None}}}, {"columns": {"a": {date(2026, 1, 2): None}}}),
    (T.bin, {"column": "a", "edges": [0, 1]}, {"column": "b", "edges": [0, 2], "labels": ["x"], "into": "y"}),
    (T.bin, {"column": "a", "edges": [0, 1]}, {"edges": [0.0, 1]}),
    (T.parse_timestamps, {"columns": "a", "formats": ["yyyy"]},
     {"columns": "b", "formats": ["yyyy", "y"], "zone": "Europe/Paris"}),
]  # fmt: skip


@pytest.mark.parametrize(("factory", "arguments", "changes"), CHANGES)
def test_each_parameter_counts(
    factory: Callable[..., base.Step], arguments: dict[str, Any], changes: dict[str, Any]
) -> None:
    fingerprints = [normalised(factory(**{**arguments, key: value}), NOWHERE) for key, value in changes.items()]
    assert len({normalised(factory(**arguments), NOWHERE), *fingerprints}) == 1 + len(changes)


def test_the_order_of_a_mapping_counts_where_it_decides() -> None:
    def same(factory: Callable[..., base.Step], *, one: dict[str, Any]) -> bool:
        other = dict(reversed(one.items()))
        return normalised(factory(one), NOWHERE) == normalised(factory(other), NOWHERE)

    assert same(T.rename, one={"a": "x", "b": "y"})
    assert same(T.cast, one={"a": "int", "b": "date"})
    assert same(T.map_values, one={"a": {"x": "y"}, "b": {"x": "y"}})
    assert not same(T.derive, one={"a": "b", "b": "a"})


def test_every_transform_has_a_version_and_a_new_one_makes_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(base.VERSIONS) == [name for name in T.__all__ if name != "KEEP"]
    step = T.rename({"a": "b"})
    before = normalised(step, NOWHERE)
    monkeypatch.setitem(base.VERSIONS, "rename", base.VERSIONS["rename"] + 1)
    assert normalised(step, NOWHERE) != before


VIEWS = """
    import dovetail as dv

    TIDY = [dv.transforms.trim_empty_to_null("city"), dv.transforms.derive({"n": "1"})]
    NAMED = dv.transforms.rename({"a": "b"})

    def clean(lines):
        for step in TIDY:
            lines = lines.transform(step)
        return lines.transform(NAMED).transform(dv.transforms.mask("mail", keep=2))
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """The function `clean` of a project of its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(views: str) -> Any:
        (tmp_path / "views.py").write_text(dedent(views))
        sys.modules.pop("views", None)
        importlib.invalidate_caches()
        return importlib.import_module("views").clean

    yield load
    sys.modules.pop("views", None)


@pytest.mark.parametrize(
    ("before", "after"), [('"city"', '"town"'), ('"1"', '"2"'), ('"a": "b"', '"a": "c"'), ("keep=2", "keep=3")]
)
def test_steps_that_a_function_reaches_count(loaded: Any, tmp_path: Path, before: str, after: str) -> None:
    clean = loaded(VIEWS)
    assert [step.name for step in steps(clean, tmp_path)] == ["trim_empty_to_null", "derive", "rename"]
    one, moved = normalised(clean, tmp_path), normalised(loaded("\n\n" + VIEWS), tmp_path)
    assert one == moved, "the line of a declaration is no part of what it does"
    assert normalised(loaded(VIEWS.replace(before, after)), tmp_path) != one


def test_a_new_version_counts_where_a_function_calls_the_factory(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = loaded(VIEWS)
    before = normalised(clean, tmp_path)
    monkeypatch.setitem(base.VERSIONS, "mask", base.VERSIONS["mask"] + 1)
    assert normalised(clean, tmp_path) != before


@pytest.mark.parametrize("call", CHANGES, ids=lambda call: call[0].__name__)
def test_steps_are_row_wise_and_name_nothing_unknown(call: Any, tmp_path: Path) -> None:
    step = call[0](**call[1])
    assert [*problems(step, project=tmp_path), *unknown_names(step, project=tmp_path)] == []


@pytest.mark.parametrize(
    ("views", "line", "function", "message"),
    [
        ("S = T.derive({'a': 'sum(b)'})\ndef clean(d):\n    return S(d)", 3, "derive", "sum in 'sum(b)': a transform"),
        ("def clean(df):\n    return df.transform(T.derive({'a': 'rand()'}))", 4, "clean", "rand in 'rand()': "),
        ("S = {'a': 'now()'}\ndef clean(df):\n    return T.derive(S)(df)", 5, "clean", "now in 'now()': batch would"),
        ("clean = T.derive({'a': '1', 'b': 'current_date'})", 3, "derive", "current_date in 'current_date': batch"),
        ("clean = T.derive({'a': \"'${env:HOME}'\"})", 3, "derive", "${ in \"'${env:HOME}'\": the value depends on"),
        ("def clean(df):\n    return T.lookup('a.csv', on='a')(df)", 4, "clean", "T.lookup: the file is read anew"),
        ("clean = T.lookup('a.csv', on='a')", 3, "lookup", "the file {}/a.csv is not there"),
        ("def clean(df):\n    return T.renam({})(df)", 4, "clean", "dovetail.shared.transforms has no 'renam': "),
    ],
)  # fmt: skip
def test_what_a_check_refuses_is_told_at_its_line(
    loaded: Any, tmp_path: Path, views: str, line: int, function: str, message: str
) -> None:
    clean = loaded(f"import dovetail as dv\nT = dv.transforms\n{views}\n")
    found = [*problems(clean, project=tmp_path), *unknown_names(clean, project=tmp_path)]
    assert [(p.file, p.line, p.function) for p in found] == [(tmp_path / "views.py", line, function)]
    assert found[0].message.startswith(message.replace("{}", str(tmp_path)))


def test_declaring_brings_neither_spark_nor_arrow(tmp_path: Path) -> None:
    (tmp_path / "views.py").write_text(
        "import datetime\nimport dovetail as dv\nfrom dovetail.shared.transforms import *\n"
        + "".join([f"{factory.__name__}(**{arguments!r})\n" for factory, arguments, _ in CHANGES])
    )
    script = "import sys, views; print([m for m in ('pyspark', 'pyarrow', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
