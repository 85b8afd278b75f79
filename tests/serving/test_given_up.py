"""What a view has given up is answered from no memory either: it may hold whom a source has forgotten since."""

from __future__ import annotations

from serving_stand import Client, Stand, ViewSpec, event


def test_what_was_asked_for_before_is_gone_once_its_floor_has_risen(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    then = serving.receipt("sales", measures="lines")["id"]
    stand.commit([event()])
    assert serving.rows("sales", measures="lines") == [{"lines": 2}]
    assert serving.get("sales", measures="lines", as_of=then).json()["rows"] == [{"lines": 1}]
    stand.batch("sales", full=True)
    stand.prune("sales")
    gone = serving.get("sales", measures="lines", as_of=then)
    assert (gone.status_code, "has been pruned" in gone.json()["detail"]) == (410, True)
