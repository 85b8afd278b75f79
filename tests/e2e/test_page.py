"""The live page over the real stack: it follows records and the cut, with a key that may see one view of two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, opened
from e2e_system import SETTLE_S, START_S, System
from playwright.sync_api import Browser, Page, Response, expect
from shop_truth import SHOP
from test_shop import order_lines

from dovetail.shared import access, keys
from dovetail.shared.grants import Grant
from dovetail.shared.log import Log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]
HIDDEN = "buyers"
"""The view that the key may not see, and nothing on the page or under it may name."""
ASKED = {"by": "productLine", "measures": "lines"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Shown:
    """What the page has shown, and what the server has said to it."""

    def __init__(self, page: Page, http: httpx.Client) -> None:
        self.page, self._http = page, http
        self._heard: list[Response] = []
        page.on("response", lambda response: self._heard.append(response))

    def said(self) -> list[str]:
        """What the server has said, but for streams, which have no end, and what it said has not changed."""
        ended = [r for r in self._heard if not r.url.partition("?")[0].endswith("/live")]
        return [r.text() for r in ended if r.status != httpx.codes.NOT_MODIFIED]

    def lines(self) -> int:
        cells = self.page.locator("#rows tbody td.number").all_text_contents()
        return sum(int(cell.replace(",", "")) for cell in cells)

    def shares(self) -> list[int]:
        """What batch, speed and both hold of all bars."""
        rows = self.page.eval_on_selector_all(
            "#shares tr",
            "all => all.map(tr => [...tr.children].slice(1).map(td => +td.textContent.replaceAll(',', '')))",
        )
        return [sum(column) for column in zip(*rows, strict=True)]

    def drawn(self, layer: str) -> float:
        """The width of all bars of a layer."""
        widths = self.page.eval_on_selector_all(f"#chart rect.{layer}", "all => all.map(r => +r.getAttribute('width'))")
        return float(sum(widths))

    def asked(self, **more: str) -> Any:
        answer = self._http.get("v1/views/sales/query", params={**ASKED, "limit": "100000", **more})
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def stands(self) -> list[list[str]]:
        """Of each partition: its number, origin, cut and position."""
        found: list[list[str]] = self.page.eval_on_selector_all(
            "#offsets tr", "all => all.map(tr => [...tr.children].slice(0, 4).map(td => td.textContent))"
        )
        return found


def until(holds: Callable[[], bool], seconds: float = SETTLE_S) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.2)


def guarded(shop: System) -> tuple[str, str]:
    """Keys are needed from now on: one that may see all, and one that may see and share one view."""
    toml = shop.folder / "dovetail.toml"
    toml.write_text(toml.read_text("utf-8") + "[access]\nrequired = true\n", "utf-8")
    shop.reload()
    pepper = access.pepper(shop.project.settings.access.pepper, shop.folder, make=True)
    grants = (Grant("all", views=("*",)), Grant("sales", roles=("read", "share"), views=("sales",)))
    made = [keys.made(grant.name, (grant.name,), pepper=pepper) for grant in grants]

    def change(held: access.Access) -> access.Access:
        for grant in grants:
            held = held.with_grant(grant)
        return held.with_keys(*(key for _, key in made))

    access.change(shop.project.layout, change)
    return made[0][0], made[1][0]


def grave(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(v["id"], n["html"]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]]


def test_the_page_follows_records_and_the_cut_and_names_no_view_that_its_key_may_not_see(
    browser: Browser, log: Log, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("page") / "shop"
    with System.create(SHOP, folder, log, topic="shop.fact-orders.page", partitions=2) as shop:
        everything, key = guarded(shop)
        feed = order_lines()
        shop.dimensions_here(spark)
        shop.topic.send(islice(feed, 300))
        shop.start("archive")
        shop.start("speed")
        shop.stack.start("serve", "serve")
        url = shop.project.settings.serving.url
        with httpx.Client(base_url=f"{url}/", headers={"authorization": f"Bearer {everything}"}, timeout=60) as http:
            until(lambda: answers(http, "sales") and answers(http, HIDDEN), START_S)
            with opened(browser, url, "/#view=sales&by=productLine&measures=lines&limit=100") as page:
                shown = Shown(page, http)
                page.get_by_label("Key", exact=True).fill(key)
                page.get_by_role("button", name="Use this key").click()
                page.wait_for_selector("#rows td.number")
                page.evaluate("window.loadedOnce = true")
                follows(shop, shown, feed, spark)
                assert page.evaluate("window.loadedOnce") is True
                assert not grave(page)
                page.get_by_role("button", name="Make a link to embed").click()
                expect(page.locator("#copy")).to_contain_text("<iframe")
                link = page.locator("#copy").inner_text().split('"')[1]
                assert HIDDEN not in page.content()
                said = shown.said()
                assert said
                assert not [text for text in said if HIDDEN in text]
            embedded(browser, url, link, shown)


def answers(http: httpx.Client, view: str) -> bool:
    try:
        return http.get(f"v1/views/{view}/query?limit=1").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def follows(shop: System, shown: Shown, feed: Iterator[Any], spark: SparkSession) -> None:
    """A record shows without a reload; a batch moves the cut and no number; both layers are drawn as they hold."""

    def whole() -> int:
        return sum(int(row["lines"]) for row in shown.asked()["rows"])

    def complete() -> bool:
        """Whether the answer has all that was sent, and the page shows that."""
        position = shown.asked()["receipt"]["position"]
        return bool(position == shop.topic.end.as_json() and shown.lines() == whole())

    until(complete)
    before = shown.lines()
    assert before > 200
    until(lambda: shown.shares() == [0, before, before])
    assert (shown.drawn("batch"), shown.drawn("speed") > 0) == (0, True)

    shop.topic.send(islice(feed, 40))
    until(lambda: shown.lines() > before)
    until(complete)
    more = shown.lines()

    shop.wait_claimed()
    shop.batch(spark, "sales")
    until(lambda: shown.shares() == [more, 0, more])
    assert shown.lines() == more
    assert (shown.drawn("batch") > 0, shown.drawn("speed")) == (True, 0)

    shop.topic.send(islice(feed, 60))
    until(complete)
    until(lambda: shown.shares()[0] == more and shown.shares()[2] == whole())
    receipt = shown.asked()["receipt"]
    until(lambda: [row[2:] for row in shown.stands()] == [
        [str(receipt[which][p]) for which in ("cut", "position")] for p in sorted(receipt["position"])])  # fmt: skip
    meet = "batch below cut {cut}, speed from there to {position}, seq {seq}".format(
        cut="·".join(map(str, receipt["cut"].values())), position="·".join(map(str, receipt["position"].values())),
        seq=receipt["seq"],
    )  # fmt: skip
    until(lambda: shown.page.locator("#meet").text_content() == meet)
    layers = {layer: shown.asked(layer=layer)["rows"] for layer in ("batch", "speed")}
    assert shown.shares()[:2] == [sum(row["lines"] for row in rows) for rows in layers.values()]
    assert shown.drawn("speed") > 0


def embedded(browser: Browser, url: str, link: str, shown: Shown) -> None:
    """The link shows the same to who has no key, and names no other view either."""
    with opened(browser, url, link.removeprefix(url)) as page:
        cells = page.locator("#rows tbody td.number").all_text_contents()
        assert sum(int(cell.replace(",", "")) for cell in cells) == sum(r["lines"] for r in shown.asked()["rows"])
        assert HIDDEN not in page.content()
        assert not grave(page)
