"""A dimension's versions: a file each and a row that names it, whatever is killed between the two."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from killed import killed_at

from dovetail.shared.dimensions import Versions
from dovetail.shared.tables import Layout

ONE, TWO = (pa.table({"code": ["a", "b"], "n": [1, n]}) for n in (2, 3))


@pytest.mark.parametrize(("point", "named"), [("dimension.file_written", 1), ("dimension.version_named", 2)])
def test_killed_while_it_is_kept_a_version_is_there_whole_or_not_at_all(tmp_path: Path, point: str, named: int) -> None:
    Versions(Layout(tmp_path), "products").add(ONE, key="code")
    with killed_at(point):
        Versions(Layout(tmp_path), "products").add(TWO, key="code")
    versions = Versions(Layout(tmp_path), "products")
    last = versions.last()
    assert last is not None
    assert (last.n, versions.read(last)) == (named, TWO if named == 2 else ONE)
    versions.add(TWO, key="code")
    again = versions.last()
    assert again is not None
    assert (again.n, versions.read(again)) == (2, TWO)


def test_a_version_that_is_dropped_goes_with_its_file_and_a_killed_drop_is_ended_by_the_next(tmp_path: Path) -> None:
    versions = Versions(Layout(tmp_path), "products")
    for rows in (ONE, TWO):
        versions.add(rows, key="code")
    with killed_at("dimension.version_dropped"):
        versions.drop(versions.earlier())
    versions.drop([])
    assert [f.name for f in Layout(tmp_path).dimension("products").glob("*.parquet")] == [versions.last().file]  # type: ignore[union-attr]
    assert (versions.earlier(), Versions(Layout(tmp_path), "products").version(1)) == ([], None)
