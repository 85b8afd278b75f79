"""Records behind a group that differs, and the group itself, are shown without what is sensitive in them."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from dovetail.batch.diff import Diff, Groups, Measured
from dovetail.batch.samples import samples
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.commit import open_source
from dovetail.shared.decode import RAW
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.manifest import Run, RunId
from dovetail.shared.position import Position, Range

pytestmark = [pytest.mark.java, pytest.mark.long]
VIEWS = """
import dovetail as dv

orders = dv.source(
    "orders", format=dv.changes(), schema="id bigint, customer string", sensitive={"customer": dv.mask.hash()}
)
totals = dv.view("totals", source=orders, keys=["customer"], measures={"n": dv.count()})
"""


def test_neither_a_change_nor_its_group_is_shown_with_whom_it_is_about(tmp_path: Path, spark) -> None:
    (tmp_path / "dovetail.toml").write_text('views = ["sampled_views.py"]\n')
    (tmp_path / "sampled_views.py").write_text(VIEWS)
    sys.modules.pop("sampled_views", None)
    project = projects.load(settings.load(tmp_path))
    view = project.view("totals")
    version, end = project.store(view).version, Position({0: 1})
    open_source(DeltaLedger(project.layout.ledger("orders")), topic_id="t", origin=Position({0: 0}))
    change = {"op": "u", "before": {"id": 1, "customer": "ada"}, "after": {"id": 1, "customer": "bob"}, "source": {}}
    value = json.dumps({"payload": change}).encode()
    records = spark.createDataFrame([(0, 0, datetime(2026, 11, 1), None, bytearray(value), None)], RAW)
    worst = ({"customer": "ada", "before": 0, "after": -1},)
    groups = Groups(2, 0, 0, (Measured("n", 1, 0, -1, worst),))
    runs = (Run(RunId("1"), version, -1, 0, Range(Position({0: 0}), end)),)
    (told,) = samples(
        project, view, Diff(version, version, 0, end, ("customer",), groups, (), ()), runs, runs, records, limit=3
    )
    assert told.group == {"customer": "***"}
    ((place, shown),) = told.records
    assert (str(place), json.loads(shown)) == (
        "0@0",
        {"payload": change | {"before": {"id": 1, "customer": "***"}, "after": {"id": 1, "customer": "***"}}},
    )
