"""The answer is the sum of the runs below the cut and the commits above it, whatever happens to the tables."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

from oracle import truth
from serving_stand import T0, Client, Event, Stand, ViewSpec, event

from dovetail.shared.ledger import VersionId, new_commit_id
from dovetail.shared.manifest import Admitted
from dovetail.shared.measures import count


def some(n: int, seed: int = 1) -> list[Event]:
    r = random.Random(seed)
    return [
        event(
            country=r.choice(["FR", "DE", None]),
            product=r.choice([1, 2, 3, None]),
            quantity=r.choice([1, 2, 30, None]),
            amount=r.choice([Decimal("0.01"), Decimal("99.90"), None]),
            cancelled=r.random() < 0.2,
            ordered_at=r.choice([None, T0 + dt.timedelta(minutes=r.randrange(6000))]),
        )
        for _ in range(n)
    ]


def test_runs_and_commits_are_merged(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", amount=Decimal("2.50"))])
    stand.batch("sales")
    stand.commit([event(quantity=7)])

    assert serving.rows("sales", by="country", measures="lines,revenue,most,average") == [
        {"country": "DE", "lines": 1, "revenue": "2.50", "most": 2, "average": "2.500000"},
        {"country": "FR", "lines": 2, "revenue": "20.00", "most": 7, "average": "10.000000"},
    ]


def test_every_step_of_a_history_gives_the_truth(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    for step in range(8):
        stand.commit(some(40, seed=step))
        if step in (2, 4, 5):
            stand.batch("sales", full=step == 4)
        assert serving.rows("sales", by="country,product") == truth(stand.events, by=["country", "product"])
        assert serving.rows("sales", where__country="FR", where__product="2") == truth(
            stand.events, where=lambda e: (e["country"], e["product"]) == ("FR", 2)
        )
    assert serving.receipt("sales")["runs"] == ["run6full", "run7"]


def test_what_an_attempt_left_behind_is_invisible(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.write(some(10), new_commit_id(), stand.seq + 1)
    stand.commit([event()])
    stand.write(some(10), new_commit_id(), stand.seq + 1)
    assert serving.rows("sales", measures="lines") == [{"lines": 1}]
    stand.commit([event()])
    assert serving.rows("sales", measures="lines") == [{"lines": 2}]


def test_a_promote_changes_the_runs_and_no_number(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit(some(200))
    before, receipt = serving.rows("sales", by="country,product"), serving.receipt("sales", by="country,product")
    stand.batch("sales")
    serving.until(lambda: serving.receipt("sales")["runs"] != receipt["runs"])
    assert serving.rows("sales", by="country,product") == before
    assert serving.receipt("sales", by="country,product")["id"] != receipt["id"]


def test_compaction_and_prune_change_nothing(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    for step in range(6):
        stand.commit(some(20, seed=step))
    assert serving.rows("sales", by="product") == truth(stand.events, by=["product"])
    stand.states.compact([spec.version])
    stand.ledger.compact()
    stand.commit(some(20, seed=7))
    assert serving.rows("sales", by="product") == truth(stand.events, by=["product"])
    stand.batch("sales")
    stand.prune("sales")
    stand.states.compact([spec.version])
    stand.commit(some(20, seed=8))
    assert serving.rows("sales", by="product") == truth(stand.events, by=["product"])


def test_a_compaction_between_states_and_their_ledger_row_counts_nothing_twice(stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert serving.rows("sales", measures="lines") == [{"lines": 1}]
    orphan = new_commit_id()
    stand.write([event(country="IT")], orphan, stand.seq + 1)
    stand.commit([event()])  # the states of the attempt are read along with these
    assert serving.rows("sales", measures="lines") == [{"lines": 2}]
    stand.states.compact([spec.version])
    stand.commit([event()])
    assert serving.rows("sales", measures="lines") == [{"lines": 3}]


def test_a_rollback_answers_from_the_earlier_runs(stand: Stand, serving: Client) -> None:
    from dovetail.shared import manifest as rules

    stand.attach(ViewSpec("sales"))
    stand.commit(some(30))
    stand.batch("sales")
    stand.commit(some(30, seed=2))
    stand.batch("sales")
    assert serving.rows("sales", by="product") == truth(stand.events, by=["product"])
    manifests = stand.manifest("sales")
    now = manifests.read()
    assert now is not None
    manifests.swap(rules.promoted(now, now.rollback[0], keep=2, note="back"))
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == len(now.rollback[0]))
    assert serving.rows("sales", by="product") == truth(stand.events, by=["product"])


def test_a_new_version_answers_once_it_is_promoted(stand: Stand, serving: Client) -> None:
    old = stand.attach(ViewSpec("sales"))
    stand.commit(some(30))
    assert serving.rows("sales", by="country") == truth(stand.events, by=["country"])
    assert serving.get("sales", by="country").status_code == 200
    stand.attach(ViewSpec("sales", keys=("product", "vip"), bucket=None, fingerprint="f" * 16), answers=False)
    stand.commit(some(10, seed=3))
    stand.batch("sales", full=True)
    serving.until(lambda: serving.receipt("sales")["version"].endswith("f" * 16))
    stand.detach(old.version)
    stand.commit(some(10, seed=4))
    assert serving.rows("sales", by="product,vip") == truth(stand.events, by=["product", "vip"])
    assert serving.get("sales", by="country").status_code == 422


def test_a_view_that_appears_while_serving_is_answered(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert serving.rows("sales", measures="lines") == [{"lines": 1}]
    stand.attach(ViewSpec("totals", keys=(), bucket=None, measures={"lines": count()}), answers=False)
    stand.batch("totals")
    stand.commit([event(), event()])
    assert serving.rows("totals") == [{"lines": 3}]
    assert serving.rows("sales", measures="lines") == [{"lines": 3}]


def test_receipts_say_what_the_version_raised_for(stand: Stand, serving: Client) -> None:
    sales, other = ViewSpec("sales"), VersionId("totals@0123")
    stand.attach(sales)
    stand.commit([event()], failing={sales.version: 2, other: 7})
    stand.batch("sales", failed=4)
    serving.until(lambda: serving.receipt("sales")["runs"][-1] != "origin")
    stand.commit([event()], failing={sales.version: 1})
    assert serving.receipt("sales")["failed"] == 7


def test_receipts_name_the_imports_that_are_in_the_answer(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert "imports" not in serving.receipt("sales")
    stand.batch("sales", full=True, imports=(Admitted(3, 1000, 2, 1),))
    serving.until(lambda: serving.receipt("sales")["runs"][-1] != "origin")
    stand.commit([event()])
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    assert serving.receipt("sales")["imports"] == [{"id": 3, "records": 1000, "quarantined": 2, "repeats": 1}]


def test_receipts_say_what_was_quarantined_and_lost(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()], quarantined=3)
    stand.batch("sales")
    stand.lost(5, "retention ran out")
    stand.commit([event()], quarantined=2)
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    receipt = serving.receipt("sales")
    assert receipt["quarantined"] == 5
    assert receipt["gaps"] == [{"seq": 3, "records": "0@2..7", "why": "retention ran out"}]
    assert receipt["complete"] is False
    assert receipt["position"] == {"0": stand.position[0], "1": stand.position[1]}
    assert receipt["cut"] == {"0": 2, "1": 2}
