"""What the view counts, on the reports of the fixture."""

from pathlib import Path

import dovetail as dv
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from views import incident_reports, incidents

REPORTS = Path(__file__).parent / "fixtures" / "reports.csv"


def grouped(view: dv.View, reports: DataFrame, *measures: str) -> DataFrame:
    """The view's keys and these measures (those of a single state), as one batch computes them."""
    states = [F.expr(view.measures[name].states[0].prepared).alias(name) for name in measures]
    return view(reports).groupBy(*view.keys).agg(*states)


def test_incidents_are_counted_by_issue_and_status(spark: SparkSession) -> None:
    reports = spark.read.schema(incident_reports.schema).csv(str(REPORTS), header=True)

    answer = grouped(incidents, reports, "reports", "undated", "longest")

    expected = spark.sql("""
        SELECT * FROM VALUES
            ('Collision',       'ARCHIVED', 2L, 1L,   40L),
            ('Crash Service',   'ARCHIVED', 3L, 1L,   45L),
            ('Crash Urgent',    'ACTIVE',   1L, 0L,    1L),
            ('Loose Livestock', 'ARCHIVED', 1L, 0L,  290L),
            ('Stalled Vehicle', 'ACTIVE',   1L, 1L,  NULL),
            ('Stalled Vehicle', 'ARCHIVED', 1L, 0L,  150L),
            ('Traffic Hazard',  'ACTIVE',   1L, 0L,  NULL),
            ('Traffic Hazard',  'ARCHIVED', 1L, 0L,    4L)
        AS t(issue_reported, status, reports, undated, longest)
    """)
    assert_df_equality(answer, expected, ignore_nullable=True, ignore_row_order=True)
