"""parse_timestamps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import dovetail as dv
from dovetail.shared.errors import DeclarationError
from dovetail.shared.transforms.times import LETTERS

from .conftest import Table, refusal

pytestmark = [pytest.mark.java, pytest.mark.long]

parse = dv.transforms.parse_timestamps
PLAIN = "yyyy-MM-dd HH:mm:ss"
SPELLINGS = [
    PLAIN,
    "yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX",
    "M/d/yyyy h:mm a",
    "d MMM yyyy",
    "dd/MM/yyyy",
    "yyyyMMdd'o''clock'HH",
]


def parsed(table: Table, text: str | None, formats: list[str], zone: str = "UTC") -> str | None:
    """The moment in UTC, as text: collected, it would be in the zone of whoever runs the test."""
    rows = parse("at", formats=formats, zone=zone)(table("at string", (text,)))
    [row] = rows.selectExpr("typeof(at) AS type", "CAST(at AS string) AS at").collect()
    assert row.type == "timestamp"
    return row.at


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01 08:15:00", "2026-03-01 08:15:00"),
        (" \t2026-03-01 08:15:00\u00a0\n", "2026-03-01 08:15:00"),
        ("2026-03-01T08:15:00Z", "2026-03-01 08:15:00"),
        ("2026-03-01T08:15:00.250+02:00", "2026-03-01 06:15:00.25"),
        ("3/1/2026 8:15 PM", "2026-03-01 20:15:00"),
        ("1 mar 2026", "2026-03-01 00:00:00"),
        ("13/03/2026", "2026-03-13 00:00:00"),
        ("20260301o'clock08", "2026-03-01 08:00:00"),
        ("2024-02-29 00:00:00", "2024-02-29 00:00:00"),
        ("2026-02-29 00:00:00", None),
        ("2026-03-01 24:00:00", None),
        ("2026-03-01 08:15", None),
        ("2026-03-01 08:15:00 Z", None),
        ("2026-03-01T08:15:00", None),
        ("٢٠٢٦-03-01 08:15:00", None),
        ("soon", None),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_the_first_format_that_fits_counts_and_else_it_is_null(
    table: Table, text: str | None, moment: str | None
) -> None:
    assert parsed(table, text, SPELLINGS) == moment


def test_the_order_of_formats_decides_what_fits_both(table: Table) -> None:
    american, european = "MM/dd/yyyy", "dd/MM/yyyy"
    assert parsed(table, "01/02/2026", [american, european]) == "2026-01-02 00:00:00"
    assert parsed(table, "01/02/2026", [european, american]) == "2026-02-01 00:00:00"


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-03-01 08:15:00", "Europe/Paris", "2026-03-01 07:15:00"),
        ("2026-07-01 08:15:00", "Europe/Paris", "2026-07-01 06:15:00"),
        ("2026-07-01 08:15:00", "+05:30", "2026-07-01 02:45:00"),
        ("2026-07-01 08:15:00", "Asia/Kolkata", "2026-07-01 02:45:00"),
        ("2026-03-29 01:59:59", "Europe/Paris", "2026-03-29 00:59:59"),
        ("2026-03-29 02:00:00", "Europe/Paris", "2026-03-29 01:00:00"),  # the clocks say 03:00
        ("2026-03-29 02:30:00", "Europe/Paris", "2026-03-29 01:30:00"),
        ("2026-03-29 03:00:00", "Europe/Paris", "2026-03-29 01:00:00"),
        ("2026-10-25 02:30:00", "Europe/Paris", "2026-10-25 00:30:00"),  # the first of two
        ("2026-10-25 03:00:00", "Europe/Paris", "2026-10-25 02:00:00"),
        ("2026-10-04 02:15:00", "Australia/Lord_Howe", "2026-10-03 15:45:00"),  # clocks go on by half an hour
        ("2011-12-30 12:00:00", "Pacific/Apia", "2011-12-30 22:00:00"),  # a day that Samoa left out
        ("1969-07-20 20:17:40", "America/New_York", "1969-07-21 00:17:40"),
    ],
)
def test_a_text_without_a_zone_is_in_the_given_one(table: Table, text: str, zone: str, moment: str) -> None:
    assert parsed(table, text, [PLAIN], zone) == moment
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) if "/" in zone else None
    if local:
        assert str(local.astimezone(UTC).replace(tzinfo=None)) == moment


def test_a_text_with_a_zone_is_in_its_own(table: Table) -> None:
    for text, pattern in [
        ("2026-03-01 08:15:00+0100", "yyyy-MM-dd HH:mm:ssZ"),
        ("2026-03-01 08:15:00 Europe/Paris", "yyyy-MM-dd HH:mm:ss VV"),
        ("2026-03-01 08:15:00 +01", "yyyy-MM-dd HH:mm:ss x"),
    ]:
        assert parsed(table, text, [pattern], "Asia/Tokyo") == "2026-03-01 07:15:00"


def test_the_zone_of_the_session_has_no_part_in_it(table: Table, spark) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        rows = parse("at", formats=[PLAIN], zone="Europe/Paris")(table("at string", ("2026-03-01 08:15:00",)))
        assert rows.selectExpr("unix_seconds(at)").collect() == [(1772349300,)]
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_a_zone_that_the_engine_does_not_know_raises(table: Table) -> None:
    newer = replace(parse("at", formats=[PLAIN], zone="Europe/Paris"), zone="Europe/Atlantis")
    with pytest.raises(Exception, match=r"Europe/Atlantis"):
        newer(table("at string", ("2026-03-01 08:15:00",))).collect()


def test_every_hour_of_two_years_is_read_as_python_reads_it(table: Table) -> None:
    zones = ["Europe/Paris", "America/Sao_Paulo", "Asia/Kathmandu", "Africa/Casablanca"]
    hours = [datetime(2018, 1, 1) + timedelta(hours=7 * n, minutes=17) for n in range(2 * 365 * 24 // 7)]
    rows = table("at string", *[(str(hour),) for hour in hours]).coalesce(1)
    for zone in zones:
        done = parse("at", formats=[PLAIN], zone=zone)(rows).selectExpr("unix_seconds(at) AS at").collect()
        assert [row.at for row in done] == [int(hour.replace(tzinfo=ZoneInfo(zone)).timestamp()) for hour in hours]


def test_every_letter_that_is_accepted_is_one_that_spark_reads(table: Table) -> None:
    patterns = [letter * count for letter, counts in LETTERS.items() for count in counts]
    step = parse("at", formats=[f"'x'{pattern}" for pattern in patterns])
    assert step(table("at string", ("x",), ("2026",))).collect() == [(None,), (None,)]


def test_what_is_no_text_is_not_parsed(table: Table) -> None:
    said = refusal(parse("at", formats=[PLAIN]), table("at timestamp"))
    assert said == "parse_timestamps: column 'at' is timestamp: it takes text"


@pytest.mark.parametrize(
    ("formats", "zone", "message"),
    [
        ([], "UTC", r"formats=\[\]: give a list of at least one"),
        (PLAIN, "UTC", "give a list of at least one"),
        ([""], "UTC", "'' is no format"),
        (["%Y-%m-%d"], "UTC", "unknown letter 'Y'"),
        (["YYYY-MM-dd"], "UTC", "unknown letter 'Y'"),
        (["yyyy-MM-ddTHH:mm"], "UTC", "unknown letter 'T'"),
        (["EEE d MMM"], "UTC", "unknown letter 'E'"),
        (["yyyyyyyy"], "UTC", "'yyyyyyyy' has too many or too few letters"),
        (["HH V"], "UTC", "'V' has too many or too few letters"),
        (["yyyy 'at"], "UTC", "a quote or a bracket is not closed"),
        (["yyyy[MM"], "UTC", "a quote or a bracket is not closed"),
        (["yyyy]MM["], "UTC", "a quote or a bracket is not closed"),
        (["yyyy[MM[dd]]"], "UTC", "or brackets stand in brackets"),
        (["yyyy[XXX]"], "UTC", "the zone may be missing: write one format with it and one without"),
        ([PLAIN], "Europe/Pari", "unknown time zone 'Europe/Pari': did you mean 'Europe/Paris'"),
        ([PLAIN], "+2", r"unknown time zone '\+2'"),
        ([PLAIN], "", "unknown time zone ''"),
        ([PLAIN], "EST", "unknown time zone 'EST'"),
        ([PLAIN], "posix/Europe/Paris", "unknown time zone 'posix/Europe/Paris'"),
        ([PLAIN], "../../etc/passwd", "unknown time zone"),
        ([PLAIN], None, "unknown time zone 'None'"),
    ],
)
def test_a_format_or_zone_that_is_none_is_refused_at_once(formats: list[str], zone: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=f"^parse_timestamps: .*{message}"):
        parse("at", formats=formats, zone=zone)
