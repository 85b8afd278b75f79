"""What is declared to be fed: checked where it is declared, found by its name, without a secret in the code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import dovetail as dv
from dovetail.shared import project as projects
from dovetail.shared import settings
from dovetail.shared.errors import DeclarationError, UsageError

orders = dv.source("orders", topic="shop.orders", schema="id bigint")
FILES: dict[str, Any] = {"source": orders, "folder": "in"}
TABLE: dict[str, Any] = {"source": orders, "url": "env:DB", "table": "orders", "key": "id", "changed": "updated_at"}
REST: dict[str, Any] = {"source": orders, "url": "https://api.example/orders", "items": "data", "next": "next"}


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        (dv.feed.files, FILES | {"name": "Orders"}, "feed 'Orders': a name is a lower-case letter"),
        (dv.feed.files, FILES | {"source": "orders"}, "source must be a dv.source, not 'orders'"),
        (dv.feed.files, FILES | {"format": "cvs"}, "unknown format 'cvs': did you mean 'csv'"),
        (dv.feed.files, FILES | {"bad": "drop"}, "bad: unknown choice 'drop'"),
        (dv.feed.files, FILES | {"quiet": "soon"}, "quiet: 'soon' is not a length of time"),
        (dv.feed.files, FILES | {"every": "10ms"}, "every=10ms is less than 50ms"),
        (dv.feed.files, FILES | {"source": dv.source("s", topic="t" * 240, schema="n int")}, "longer than 249"),
        (dv.feed.table, TABLE | {"key": []}, "key names no column"),
        (dv.feed.table, TABLE | {"url": "postgresql://me:secret@db/shop"}, "without a password, or a reference"),
        (dv.feed.table, TABLE | {"url": "mysql://db/shop"}, "url is postgresql://"),
        (dv.feed.rest, REST | {"url": "ftp://api.example"}, "url is https://"),
        (dv.feed.rest, REST | {"url": "https://me:secret@api.example"}, "url holds a password"),
        (dv.feed.rest, REST | {"headers": {"X-Api-Key": "abc"}}, "header X-Api-Key is a secret written out"),
        (dv.feed.rest, REST | {"url": "http://api.example", "headers": {"Authorization": "env:T"}}, "without headers"),
        (dv.feed.rest, REST | {"rate": 0}, "rate=0 is no number of requests a second"),
    ],
)
def test_a_feed_that_cannot_be_is_refused_with_its_line(kind: Any, given: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says) as refused:
        kind(given.get("name", "orders_feed"), **{k: v for k, v in given.items() if k != "name"})
    assert refused.value.where.startswith("test_feed.py:")


def test_a_feed_has_an_id_of_its_topic_and_name_and_shows_no_address() -> None:
    fed = dv.feed.table("db", **TABLE | {"url": "postgresql://me@db/shop"})
    assert (fed.id, fed.key) == ("shop.orders.feed.db", ("id",))
    assert "me@db" not in repr(fed)


def test_a_project_knows_its_feeds_and_their_sources(tmp_path: Path) -> None:
    text = (
        "import dovetail as dv\nevents, raw = dv.source('events', schema='n int'), dv.source('raw', schema='n int')\n"
        "totals = dv.view('totals', source=events, measures={'rows': dv.count()})\n"
        "feed = dv.feed.files('raw_files', source=raw, folder='in')\n"
    )
    (tmp_path / "dovetail.toml").write_text('views = ["feed_views.py", "feed_more.py"]\n')
    (tmp_path / "feed_views.py").write_text(text)
    (tmp_path / "feed_more.py").write_text("from feed_views import feed as same\n")
    project = projects.load(settings.load(tmp_path))
    assert (project.feed("raw_files").source, {*project.sources}) == (project.source("raw"), {"events", "raw"})
    with pytest.raises(UsageError, match="unknown feed 'raw_file': did you mean 'raw_files'"):
        project.feed("raw_file")
    (tmp_path / "feed_more.py").write_text(
        "import dovetail as dv\nfrom feed_views import raw\nb = dv.feed.files('raw_files', source=raw, folder='b')\n"
    )
    del sys.modules["feed_more"]
    with pytest.raises(DeclarationError, match="feed raw_files is declared twice"):
        projects.load(settings.load(tmp_path))
