"""Pages of an answer, and answers that must be whole or fresh: exact, or refused with what helps."""

from __future__ import annotations

import pytest
from serving_stand import Client, Ends, Stand, ViewSpec, event

from dovetail.shared.position import Position

LIMIT = 7


def pages(serving: Client, stand: Stand, **asked: object) -> tuple[list[dict[str, object]], set[int]]:
    """All rows page by page, with a commit between any two pages; and the seqs that the pages are of."""
    rows, seqs, cursor = [], set(), None
    while True:
        found = serving.answered("sales", **asked, limit=LIMIT, **({"cursor": cursor} if cursor else {})).json()
        rows += found["rows"]
        seqs.add(found["receipt"]["seq"])
        cursor = found["receipt"].get("next")
        if cursor is None:
            return rows, seqs
        stand.commit([event(country=f"{n:03}") for n in range(0, 40, 3)])


@pytest.mark.parametrize("order_by", [None, "-country", "-lines", "-revenue"])
def test_pages_are_of_one_answer_whatever_comes_meanwhile(stand: Stand, serving: Client, order_by: str | None) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n % 20:03}") for n in range(45)])
    stand.batch("sales")
    stand.commit([event(country=f"{n:03}") for n in range(15, 30)])
    asked = {"by": "country", "measures": "lines,revenue", **({"order_by": order_by} if order_by else {})}
    whole = serving.rows("sales", **asked)
    rows, seqs = pages(serving, stand, **asked)
    assert len(whole) == 30
    assert rows == whole
    assert len(seqs) == 1


def test_a_cursor_of_another_question_is_refused(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=f"{n:03}") for n in range(20)])
    cursor = serving.receipt("sales", by="country", limit=LIMIT)["next"]
    for other in ({"by": "country", "limit": 8}, {"by": "product", "limit": LIMIT}, {"by": "country"}):
        refused = serving.answered("sales", **other, cursor=cursor)
        assert refused.status_code == 422
        assert "is of another question" in refused.json()["detail"]


def test_a_view_that_is_too_old_is_waited_for_and_then_refused(stand: Stand, serving: Client, ends: Ends) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert serving.answered("sales").status_code == 200
    unknown = serving.answered("sales", max_age="1h", timeout="0.1")
    assert unknown.status_code == 503
    assert "the broker does not say where the log ends" in unknown.json()["detail"]
    ends.at = {"shop.orders": stand.position}
    serving.until(lambda: serving.receipt("sales")["behind"]["seconds"] == 0)
    assert serving.answered("sales", max_age="0").status_code == 200
    ends.at = {"shop.orders": Position({0: 1000, 1: 1000})}
    serving.until(lambda: (serving.receipt("sales")["behind"]["seconds"] or 0) > 0.2)
    late = serving.answered("sales", max_age="100ms", timeout="0.1")
    assert late.status_code == 503
    assert "0.1 s are asked for" in late.json()["detail"]
    assert late.headers["retry-after"] == "1"
    assert serving.answered("sales", max_age="1h").status_code == 200


def test_an_answer_with_gaps_is_refused_where_a_whole_one_is_asked_for(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert serving.answered("sales", complete="required").status_code == 200
    stand.lost(3, "retention")
    assert serving.receipt("sales")["complete"] is False
    refused = serving.answered("sales", complete="required")
    assert refused.status_code == 409
    assert "has passed records that are gone" in refused.json()["detail"]
    held = {"If-None-Match": serving.answered("sales").headers["etag"]}
    assert serving.http.get("/v1/views/sales/query", headers=held).status_code == 304
    assert serving.http.get("/v1/views/sales/query?complete=required", headers=held).status_code == 409
