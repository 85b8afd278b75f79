"""In which order a run's rows lie in the database: by key, those of late apart from those before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving_stand import T0, Stand, ViewSpec, event

from dovetail.serving.runs import newest_of
from dovetail.serving.store import Store

DAY = dt.timedelta(days=1)


def held(folder: Path) -> list[tuple[str | None, dt.datetime | None]]:
    """Country and bucket of the rows of the view's run, as they lie in the database."""
    store = Store(folder)
    try:
        while "sales" not in store.views or store.views["sales"].published is None:
            store.look()
        edition = store.views["sales"].edition
        with store._database.reading("sales") as (cursor, _):
            rows = cursor.execute(f"SELECT country, make_timestamp(_bucket) FROM {edition.runs[0]}").fetchall()
        return [(country, at and at.replace(tzinfo=dt.UTC)) for country, at in rows]
    finally:
        store.stop()


def test_rows_of_the_last_two_days_lie_apart_and_each_part_by_key(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.attach(ViewSpec("sales"))
    days = [T0 + n * DAY for n in range(5)]
    stand.commit([event(country=c, ordered_at=at) for at in [None, *days] for c in ("FR", "DE")])
    stand.batch("sales")
    late, before = days[3:], days[:3]
    apart = [(c, at) for part in (late, before, [None]) for c in ("DE", "FR") for at in part]
    assert held(tmp_path) == apart


@pytest.mark.parametrize("old", [False, True])
def test_the_newest_bucket_is_what_the_files_say_or_unknown(tmp_path: Path, old: bool) -> None:
    times = [T0, None, T0 + DAY]
    for n, part in enumerate([times[:2], times[2:], [None], []]):
        table = pa.table({"a": pa.array([[1]] * len(part)), "_bucket": pa.array(part, pa.timestamp("us", tz="UTC"))})
        pq.write_table(table, tmp_path / f"{n}.parquet", use_deprecated_int96_timestamps=old)
    found = newest_of([pq.read_metadata(file) for file in sorted(tmp_path.iterdir())])
    assert found == (None if old else int((T0 + DAY).timestamp() * 1_000_000))


def test_a_file_without_buckets_has_no_newest(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "one.parquet")
    assert newest_of([pq.read_metadata(tmp_path / "one.parquet")]) is None
