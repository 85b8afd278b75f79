"""The answer is the sum of runs below the cut and commits above it, whatever happened in between."""

from __future__ import annotations

from decimal import Decimal

from serving_stand import Client, Stand, ViewSpec, event


def test_runs_and_commits_are_merged(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", amount=Decimal("2.50"))])
    stand.batch("sales")
    stand.commit([event(quantity=7)])

    assert serving.rows("sales", by="country", measures="lines,revenue,most,average") == [
        {"country": "DE", "lines": 1, "revenue": "2.50", "most": 2, "average": "2.500000"},
        {"country": "FR", "lines": 2, "revenue": "20.00", "most": 7, "average": "10.000000"},
    ]
