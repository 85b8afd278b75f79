"""What `/v1/status` tells of a view's changes, and to whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from access_stand import Place
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.shared import gates, last_diff
from dovetail.shared import manifest as rules
from dovetail.shared.commit import attach
from dovetail.shared.grants import Grant
from dovetail.shared.last_diff import LastDiff
from dovetail.shared.ledger import VersionId
from dovetail.shared.manifest import Manifest

NEW = VersionId("sales@0b22")


def swapped(stand: Stand, change: Any) -> Manifest:
    manifests = stand.manifest("sales")
    now = manifests.read()
    assert now is not None
    made: Manifest = change(now)
    manifests.swap(made)
    return made


def stage(stand: Stand) -> Manifest:
    """Another version of `sales` is in force, was computed, and compared with what answers."""
    seq = attach(stand.ledger, NEW).seq
    made = swapped(stand, lambda now: rules.staged(now, (replace(now.runs[0], version=NEW, to_seq=seq),), note="part"))
    measures = {"lines": {"differing": 2, "before": "3", "after": "4321987"}}
    last_diff.keep(stand.layout, "sales", LastDiff(made.live, NEW, 7, 12.5, 0.01, 40, 1, 2, measures))
    return made


def change_of(http: Any) -> dict[str, Any] | None:
    (view,) = [v for v in http.get("/v1/status").json()["views"] if v["view"] == "sales"]
    found: dict[str, Any] | None = view["change"]
    return found


@pytest.fixture
def sales(stand: Stand, serving: Client) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE")])
    serving.rows("sales")
    return spec


def test_what_waits_is_told_with_its_diff_and_what_is_held_back_with_its_command(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    assert change_of(serving.http) == {"staged": [], "back": None, "changed": None, "diff": None, "held_back": None}
    stage(stand)
    told = change_of(serving.http)
    assert told is not None
    (waits,) = told["staged"]
    assert waits.pop("seq") > 0
    assert waits == {"version": NEW, "ready": True, "next": f"dovetail promote sales --to {NEW}"}
    assert told["diff"]["measures"] == {"lines": {"differing": 2, "before": "3", "after": "4321987"}}
    now = stand.manifest("sales").read()
    assert now is not None
    gates.hold(stand.layout, now, gates.Held("lines 10 → 1", "dovetail batch sales"))
    told = change_of(serving.http)
    assert told is not None
    assert told["held_back"] == {"what": "lines 10 → 1", "next": "dovetail batch sales"}


def test_what_is_computed_in_part_is_gone_on_with(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    def in_part(now: Manifest) -> Manifest:
        return rules.staged(now, (replace(now.runs[0], version=NEW),), note="the first part")

    attach(stand.ledger, NEW)
    swapped(stand, in_part)
    told = change_of(serving.http)
    assert told is not None
    (waits,) = told["staged"]
    assert (waits["ready"], waits["next"]) == (False, "dovetail reprocess sales")


def test_who_promoted_and_the_way_back_are_told_and_the_diff_no_more(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    old, waits = sales.version, stage(stand).staged[0]
    swapped(stand, lambda now: rules.promoted(now, waits, keep=2, note="promote by ann: net of VAT"))
    swapped(stand, rules.pruned)
    told = change_of(serving.http)
    assert told is not None
    assert told["changed"].pop("at") > 0
    assert told["changed"] == {"version": NEW, "before": old, "note": "promote by ann: net of VAT"}
    assert told["back"] == {"version": old, "next": f"dovetail rollback sales --to {old}"}
    assert (told["staged"], told["diff"]) == ([], None)


def test_only_who_operates_a_view_sees_its_changes(guarded: Place) -> None:
    stage(guarded.stand)
    guarded.client.until(lambda: bool(guarded.client.http.get("/v1/status").json()["views"]))
    for grants, sees in [
        ([Grant("reader", views=("sales",))], False),
        ([Grant("operator", roles=("read", "operate"), views=("sales",))], True),
        ([Grant("reader", views=("sales",)), Grant("elsewhere", roles=("operate",), views=("secrets",))], False),
    ]:
        with guarded.as_(*grants) as http:
            told = http.get("/v1/status").text
            assert ((NEW in told), ("4321987" in told)) == (sees, sees), grants
