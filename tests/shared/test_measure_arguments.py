"""What measures are given wrongly is said at the user's line, and what they are given is kept in bundles."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import dovetail as dv
from dovetail.shared.errors import DeclarationError, UserCodeError
from dovetail.shared.measures import measure_from_json
from dovetail.shared.measures.quantiles import Scale

WRONG: dict[str, Callable[[], object]] = {
    "1.5 is no quantile: give numbers from 0 to 1": lambda: dv.approx_quantiles("x", quantiles=[0.5, 1.5]),
    "no quantiles are given": lambda: dv.approx_quantiles("x", quantiles=[]),
    "error is 0.5: give a number from 0.001 to 0.2": lambda: dv.approx_quantiles("x", error=0.5),
    "the edges 1, 3, 2: they must rise": lambda: dv.histogram("x", edges=[1, 3, 2]),
    "the edges are missing: they must rise": lambda: dv.histogram("x"),
    "width needs low and high": lambda: dv.histogram("x", width=10),
    "width 3 does not divide 0 to 10 into whole bins": lambda: dv.histogram("x", width=3, low=0, high=10),
    "100000 bins are more than 1000": lambda: dv.histogram("x", width=1, low=0, high=100_000),
    "precision is 3: give a whole number from 4 to 21": lambda: dv.approx_distinct("x", precision=3),
    "k is 0: give a whole number from 1 to 1000": lambda: dv.top_k("x", k=0),
    "limit is 0: give a whole number": lambda: dv.collect_set("x", limit=0),
    "tracked is 100: give a power of 2": lambda: dv.approx_top_k("x", k=5, tracked=100),
    "k is 600: give a whole number from 1 to 512": lambda: dv.approx_top_k("x", k=600),
    "under is 3, not a dv.count(), dv.sum(…)…": lambda: dv.ratio(dv.count(), 3),  # type: ignore[arg-type]
    "measure has no parts": lambda: dv.measure(present=len),
    "present is 3: give a function of n": lambda: dv.measure(n=dv.count(), present=3),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_said_with_the_line(message: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(message)) as caught:
        WRONG[message]()
    assert caught.value.where.startswith("test_measure_arguments.py:")


def test_first_goes_by_event_time_and_needs_one() -> None:
    timed = dv.source("timed", schema="at timestamp, s string", event_time="at")
    view = dv.view("v", source=timed, measures={"last": dv.last("s")})
    assert view.measures["last"].states[0].by == "`at`"
    timeless = dv.source("timeless", schema="s string")
    with pytest.raises(DeclarationError, match="last goes by time, and the source has none"):
        dv.view("v", source=timeless, measures={"last": dv.last("s")})
    with pytest.raises(DeclarationError, match="first goes by time"):
        dv.view("v", source=timeless, measures={"x": dv.ratio(dv.first("s"), dv.count())})


@pytest.mark.parametrize(
    "measure",
    [
        dv.first("s", by="t"),
        dv.approx_quantiles("x", error=0.05),
        dv.ratio(dv.sum("x"), dv.count()),
        dv.top_k("x", k=2),
    ],
    ids=lambda m: m.name,
)
def test_a_stored_measure_is_read_back_with_its_options(measure: dv.Measure) -> None:
    assert measure_from_json(measure.as_json()) == measure


def test_measures_that_need_the_same_state_share_it_and_others_do_not() -> None:
    def column(measure: dv.Measure) -> str:
        return measure.states[0].column

    assert column(dv.variance("x")) == column(dv.stddev("x", population=True))
    assert column(dv.approx_quantiles("x")) == column(dv.approx_quantiles("x", quantiles=[0.1]))
    assert column(dv.any_value("x")) == column(dv.min("x"))
    different = [dv.top_k("x", k=2), dv.top_k("x", k=3), dv.top_k("x", k=3, by="y"), dv.approx_distinct("x")]
    assert len({column(m) for m in different}) == len(different)


def test_an_own_measure_whose_function_is_wrong_says_so() -> None:
    short = dv.measure(n=dv.count(), present=lambda n: n[:1])
    with pytest.raises(UserCodeError, match="gave 1 values for 2 groups"):
        short.presenter.present(pa.array([1, 2]))
    broken = dv.measure(n=dv.count(), present=lambda n: n.no_such_thing)
    with pytest.raises(UserCodeError, match="raised AttributeError"):
        broken.presenter.present(pa.array([1, 2]))


@pytest.mark.parametrize("error", [0.001, 0.01, 0.2])
def test_no_value_of_a_bin_is_further_away_than_the_error(error: float) -> None:
    scale = Scale(error)
    for number in (1, 2, scale.bins // 2, scale.bins):
        upper = 2.718281828459045 ** ((number + scale.first - 1) * scale.log_gamma)
        lower = upper * (1 - error) / (1 + error)
        assert scale.value(number) == pytest.approx(upper * (1 - error))
        assert abs(scale.value(number) - lower) <= error * lower * (1 + 1e-9)
        assert abs(scale.value(number) - upper) <= error * upper * (1 + 1e-9)
        assert scale.value(-number) == -scale.value(number)


VIEWS = """
import dovetail as dv
import pyarrow.compute as pc
from pyspark.sql import DataFrame, functions as F

def clean(rows: DataFrame | None) -> DataFrame:
    return rows.withColumn("y", F.col("x"))

events = dv.source("events", schema="x int")
totals = dv.view("totals", source=events, transform=[clean], measures={
    "mean": dv.measure(s=dv.sum("x"), n=dv.count(),
                       present=lambda s, n: pc.divide(s, SCALE)),
})
"""


@pytest.mark.long
def test_a_function_of_the_users_presents_where_spark_is_not_loaded_and_is_part_of_the_version(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from dovetail.shared import project, settings, versions
folder = Path(sys.argv[1])
loaded = project.load(settings.load(folder))
bundle = loaded.store(loaded.view("totals"))
for name in [m for m in sys.modules if m.split(".")[0] in ("pyspark", "views")]:
    del sys.modules[name]
import pyarrow as pa
presented = versions.load(bundle.folder).presented["mean"].presenter.present(pa.array([20]), pa.array([4]))
assert not any(m.startswith("pyspark") for m in sys.modules)
print(bundle.version, presented.to_pylist())
"""
    import subprocess
    import sys

    said = []
    for scale in (10, 5):
        folder = tmp_path / str(scale)
        folder.mkdir()
        (folder / "dovetail.toml").write_text('views = ["views.py"]\n')
        (folder / "views.py").write_text(VIEWS.replace("SCALE", str(scale)))
        run = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        said.append(run.stdout.split())
    assert [values for _, values in said] == ["[2]", "[4]"]
    assert said[0][0] != said[1][0]
