"""What `/v1/status` says of each view, and what it puts among the problems."""

from __future__ import annotations

import time

import pytest
from access_stand import Place
from serving_stand import Client, Ends, Stand, ViewSpec, event

from dovetail.shared import proofs
from dovetail.shared.grants import Grant
from dovetail.shared.position import Position
from dovetail.shared.proofs import Proved


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE")], quarantined=2)
    return spec


def test_a_view_says_where_its_parts_meet_and_how_much_is_unread(
    sales: ViewSpec, stand: Stand, serving: Client, ends: Ends
) -> None:
    stand.batch("sales")
    stand.commit([event(), event()])
    ends.at = {"shop.orders": Position({0: 9, 1: 3})}
    serving.rows("sales")
    serving.until(lambda: serving.receipt("sales")["behind"]["records"] == 6)
    told = serving.http.get("/v1/status").json()
    (view,) = told["views"]
    assert view["behind"].pop("seconds") >= 0
    assert view.pop("change")["staged"] == []
    assert view.pop("run_at") == pytest.approx(told["now"], abs=60)
    assert (told["problems"], told["now"]) == ([], pytest.approx(time.time(), abs=60))
    assert view == {
        "view": "sales", "version": sales.version, "source": "orders", "standing": "ready", "seq": 3,
        "runs": ["origin", "run2"], "origin": {"0": 0, "1": 0}, "cut": {"0": 2, "1": 2}, "position": {"0": 3, "1": 3},
        "end": {"0": 9, "1": 3}, "behind": {"records": 6}, "quarantined": 2, "failed": 0, "gaps": [],
        "complete": True, "dimensions": {}, "proved": None,
    }  # fmt: skip


def test_what_is_not_known_is_null(sales: ViewSpec, serving: Client) -> None:
    serving.rows("sales")
    (view,) = serving.http.get("/v1/status").json()["views"]
    assert (view["run_at"], view["end"], view["behind"]) == (None, None, {"records": None, "seconds": None})


def test_problems_are_told_with_the_command_that_helps(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    serving.rows("sales")
    proofs.keep(stand.layout, "orders", Proved(2, 12.5, 1.0, 2, 1, holds=False))
    stand.miss(sales.version)
    serving.until(lambda: len(serving.http.get("/v1/status").json()["problems"]) == 2)
    told = serving.http.get("/v1/status").json()
    refused, disproved = told["problems"]
    assert (refused["of"], refused["next"]) == ("sales", "dovetail status")
    assert "was not in force" in refused["what"]
    assert "was not in force" in told["views"][0]["standing"]
    assert disproved == {
        "of": "orders",
        "what": "2 lost, 1 doubled: found by the recount at seq 2",
        "next": "dovetail prove orders",
    }
    assert told["views"][0]["proved"] == {
        "seq": 2, "at": 12.5, "sample": 1.0, "lost": 2, "doubled": 1, "holds": False,
    }  # fmt: skip


def test_each_sees_how_the_views_of_its_grants_stand_and_no_others(guarded: Place) -> None:
    guarded.stand.miss(guarded.stand.views["secrets"].version)
    everything = guarded.client
    everything.until(lambda: bool(everything.http.get("/v1/status").json()["problems"]))
    with guarded.as_(Grant("sales", views=("sales",))) as http:
        told = http.get("/v1/status")
        assert [v["view"] for v in told.json()["views"]] == ["sales"]
        assert "secrets" not in told.text
    with guarded.with_("") as http:
        assert http.get("/v1/status").status_code == 401
