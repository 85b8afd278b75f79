"""What the page shows an operator of a change: what waits, what the last diff found, who promoted it, the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, opened
from playwright.sync_api import Browser, expect
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.shared import last_diff
from dovetail.shared import manifest as rules
from dovetail.shared.commit import attach
from dovetail.shared.last_diff import LastDiff
from dovetail.shared.ledger import VersionId

pytestmark = pytest.mark.long
NEW = VersionId("sales@0b22c0ffee0b22c0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_a_card_tells_what_waits_and_then_who_promoted_it(browser: Browser, stand: Stand, serving: Client) -> None:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE")])
    serving.rows("sales")
    manifests = stand.manifest("sales")
    with opened(browser, serving.http.base_url) as page:
        card = page.locator("#views article")
        expect(card).to_contain_text("newest run")
        assert card.locator("h4").count() == 0, "nothing has changed, and nothing is said of it"
        now = manifests.read()
        assert now is not None
        waits = (replace(now.runs[0], version=NEW, to_seq=attach(stand.ledger, NEW).seq),)
        measures = {"lines": {"differing": 2, "before": "3", "after": "<b>4321</b>"}}
        last_diff.keep(stand.layout, "sales", LastDiff(now.live, NEW, 7, 12.5, 0.0, 40, 1, 2, measures))
        manifests.swap(rules.staged(now, waits, note="part"))
        expect(card).to_contain_text("0b22c0ffee0b22c0 waits")
        expect(card).to_contain_text("lines: 2 of 40 groups differ, 3 → <b>4321</b>")
        expect(card.locator("code")).to_have_text(f"dovetail promote sales --to {NEW}")
        found = Axe().run(page).response["violations"]
        assert found == [], [(v["id"], [node["html"] for node in v["nodes"]]) for v in found]
        now = manifests.read()
        assert now is not None
        manifests.swap(rules.promoted(now, waits, keep=2, note="promote by ann: net of VAT"))
        expect(card).to_contain_text("promote by ann: net of VAT")
        expect(card.locator("code")).to_have_text(f"dovetail rollback sales --to {spec.version}")
