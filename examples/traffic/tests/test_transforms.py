"""The cleaning of dates, told by two files: the reports as they come, and as they should be."""

from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from transforms import as_timestamp, convert_dates, with_minutes_open, with_reported_at

FIXTURES = Path(__file__).parent / "fixtures"
REPORT = "traffic_report_id string, published_date {0}, issue_reported string, address string, status string, "
REPORT += "status_date_time {0}"


def read(spark: SparkSession, name: str, kind: str) -> DataFrame:
    """The reports of a fixture, with dates as `kind`: string as they come, timestamp as they should be."""
    return spark.read.schema(REPORT.format(kind)).csv(str(FIXTURES / name), header=True, mode="FAILFAST")


def test_dates_in_every_spelling_become_timestamps_and_all_else_stays(spark: SparkSession) -> None:
    reports = read(spark, "reports.csv", "string")
    clean = read(spark, "reports_clean.csv", "timestamp")

    assert_df_equality(convert_dates(reports), clean)


@pytest.mark.parametrize("text", ["", " ", "soon", "2026-13-01", "31/12/2026 08:15", "2026-03-01T25:00:00Z", None])
def test_what_is_no_date_becomes_null(spark: SparkSession, text: str | None) -> None:
    texts = spark.createDataFrame([(text,)], "text string")

    assert texts.select(as_timestamp(F.col("text"))).first() == (None,)


def test_a_report_counts_when_it_was_published_or_else_when_its_status_was_set(spark: SparkSession) -> None:
    reports = with_reported_at(read(spark, "reports_clean.csv", "timestamp"))

    said = reports.where("traffic_report_id IN ('A7', 'A9', 'A11')").select("traffic_report_id", "reported_at")

    expected = spark.sql("""
        SELECT * FROM VALUES ('A7',  TIMESTAMP '2026-03-01 00:00:00'),
                             ('A9',  TIMESTAMP '2026-03-02 07:30:00'),
                             ('A11', NULL)
        AS t(traffic_report_id, reported_at)
    """)
    assert_df_equality(said, expected, ignore_nullable=True)


def test_minutes_open_are_whole_and_null_without_both_dates(spark: SparkSession) -> None:
    reports = with_minutes_open(read(spark, "reports_clean.csv", "timestamp"))

    minutes = {row.traffic_report_id: row.minutes_open for row in reports.collect()}

    assert minutes == {
        "A1": 45, "A2": 4, "A3": 150, "A4": 40, "A5": 290, "A6": 1, "A7": None, "A8": 10, "A9": None, "A10": None,
        "A11": None,
    }  # fmt: skip
