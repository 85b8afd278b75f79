"""The live page in a real browser: what it shows, that it follows, who may see it, and that anybody can use it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_stand import PEPPER, give, place, some
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, opened
from playwright.sync_api import Browser, Page, expect
from serving_stand import Client, Ends, Stand, ViewSpec, event

from dovetail.serving.page import FILES
from dovetail.shared import proofs
from dovetail.shared.grants import Grant
from dovetail.shared.position import Position
from dovetail.shared.proofs import Proved

BY_COUNTRY = "#view=sales&by=country&measures=lines"
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def sales(stand: Stand, serving: Client) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(), event(country="DE", product=2)])
    serving.rows("sales")
    return spec


def rows(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.eval_on_selector_all(
        "#rows tbody tr",
        "all => all.map(tr => [...tr.querySelectorAll(':scope > :not(.why)')].map(td => td.textContent))",
    )
    return found


def shares(page: Page, part: str) -> list[float]:
    """Of each bar's width, rounded to what its borders and the cut itself take."""
    found: list[float] = page.eval_on_selector_all(
        f".bar .{part}",
        "all => all.map(i => i.getBoundingClientRect().width / i.parentElement.getBoundingClientRect().width)",
    )
    return [round(share, 1) for share in found]


def until(holds: Any) -> None:
    Client.until(holds, 60.0)


def test_a_question_is_answered_in_rows_and_a_chart_and_its_link_asks_it_again(
    browser: Browser, sales: ViewSpec, serving: Client
) -> None:
    with opened(browser, serving.http.base_url) as page:
        page.get_by_label("product").check()
        page.get_by_label("lines", exact=True).check()
        page.get_by_label("Only where").fill("country=FR")
        page.get_by_role("button", name="Ask").click()
        until(lambda: rows(page) == [["FR", "1", "2"]])
        expect(page.locator("#chart rect")).to_have_count(1)
        expect(page.locator("#receipt")).to_contain_text("all from speed up to seq 2")
        page.get_by_role("button", name="Copy as Python").click()
        assert 'where={"country": {"in": ["FR"]}}' in page.locator("#copy").inner_text()
        page.get_by_role("button", name="Copy as SQL").click()
        assert "WHERE country IN ('FR')\nGROUP BY country, product" in page.locator("#copy").inner_text()
        link = "#" + page.url.partition("#")[2]
    with opened(browser, serving.http.base_url, link) as page:
        until(lambda: rows(page) == [["FR", "1", "2"]])


@pytest.mark.long
def test_buckets_are_drawn_as_lines_and_numbers_keep_every_digit(
    browser: Browser, stand: Stand, serving: Client
) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event(quantity=2**60 + 1), event(country="DE")])
    serving.rows("sales")
    with opened(browser, serving.http.base_url, "#view=sales&by=country&bucket=1h&measures=pieces") as page:
        until(lambda: [row[-1] for row in rows(page)] == ["2", "1,152,921,504,606,846,977"])
        assert page.locator("#chart path").count() == 2


@pytest.mark.long
def test_numbers_follow_what_is_committed(browser: Browser, sales: ViewSpec, stand: Stand, serving: Client) -> None:
    with opened(browser, serving.http.base_url, BY_COUNTRY) as page:
        until(lambda: rows(page) == [["DE", "1"], ["FR", "2"]])
        stand.commit([event(country="DE")] * 4)
        until(lambda: rows(page) == [["DE", "5"], ["FR", "2"]])


@pytest.mark.long
def test_answers_that_the_server_sends_are_shown(browser: Browser, sales: ViewSpec, serving: Client) -> None:
    sent = serving.get("sales", by="country", measures="lines").json()
    sent["rows"] = [{"country": "FR", "lines": 4242}]
    body = f": alive\n\nid: 1\nevent: answer\ndata: {json.dumps(sent)}\n\n"
    context: Any
    with opened(browser, serving.http.base_url, "#view=sales&limit=1") as page:
        context = page.context
        context.route("**/live?*", lambda route: route.fulfill(content_type="text/event-stream", body=body))
        page.get_by_label("country").check()
        page.get_by_role("button", name="Ask").click()
        until(lambda: rows(page) == [["FR", "4,242"]])


@pytest.mark.long
def test_a_batch_moves_the_cut_and_not_the_number(
    browser: Browser, sales: ViewSpec, stand: Stand, serving: Client, ends: Ends
) -> None:
    stand.commit([event()] * 5)
    ends.at = {"shop.orders": Position({0: 10, 1: 10})}
    with opened(browser, serving.http.base_url, BY_COUNTRY) as page:
        until(lambda: rows(page) == [["DE", "1"], ["FR", "7"]])
        until(lambda: [shares(page, part) for part in ("batch", "speed", "unread")] == [[0, 0], [0.3, 0.5], [0.7, 0.5]])
        stand.batch("sales")
        until(lambda: [shares(page, part) for part in ("batch", "speed", "unread")] == [[0.3, 0.5], [0, 0], [0.7, 0.5]])
        assert rows(page) == [["DE", "1"], ["FR", "7"]]
        cells = page.locator("#offsets tr").first.locator("th, td").all_text_contents()
        assert cells == ["0", "0", "3", "3", "10"]


@pytest.mark.long
def test_the_first_line_is_the_proof_or_the_problem(
    browser: Browser, sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    with opened(browser, serving.http.base_url) as page:
        first = page.locator("#standing")
        expect(first).to_contain_text("dovetail prove orders")
        proofs.keep(stand.layout, "orders", Proved(2, time.time() - 125, 1.0, 0, 0, holds=True))
        expect(first).to_have_text("0 lost, 0 doubled: proved 2 min ago at seq 2")
        stand.miss(sales.version)
        expect(first).to_contain_text("sales cannot be answered")
        expect(first.locator("code")).to_have_text("dovetail status")


@pytest.mark.long
def test_what_a_key_holds_is_text_and_runs_nothing(browser: Browser, stand: Stand, serving: Client) -> None:
    evil = "<img src=x onerror=alert(1)>"
    stand.attach(ViewSpec("sales"))
    stand.commit([event(country=evil)])
    serving.rows("sales")
    with opened(browser, serving.http.base_url, BY_COUNTRY) as page:
        until(lambda: rows(page) == [[evil, "1"]])
        assert page.locator("img").count() == 0


@pytest.mark.long
def test_the_page_lets_in_no_script_of_others(browser: Browser, sales: ViewSpec, serving: Client) -> None:
    for path in FILES:
        policy = serving.http.get(path).headers
        assert policy["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert (policy["x-content-type-options"], policy["referrer-policy"]) == ("nosniff", "no-referrer")
    with opened(browser, serving.http.base_url) as page:
        page.wait_for_selector("#rows td")
        ran = page.evaluate(
            """async () => {
              const script = document.createElement("script");
              script.textContent = "window.ran = true";
              document.body.append(script);
              const sent = await fetch("http://127.0.0.1:9/").then(() => true, () => false);
              return [window.ran || false, sent];
            }"""
        )
        assert ran == [False, False]


def test_a_key_is_asked_for_kept_in_the_tab_and_shows_its_view_alone(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some()) as guarded:
        key = give(guarded.stand.layout, Grant("sales", views=("sales",)))
        with opened(browser, guarded.client.http.base_url, "#view=secrets&by=country") as page:
            expect(page.locator("#standing")).to_have_text("A key is needed.")
            assert not page.locator("#inside").is_visible()
            page.get_by_label("Key", exact=True).fill("wrong")
            page.get_by_role("button", name="Use this key").click()
            expect(page.locator("#refused")).to_have_text("That key opens nothing here.")
            page.get_by_label("Key", exact=True).fill(key)
            page.get_by_role("button", name="Use this key").click()
            page.wait_for_selector("#rows td")
            assert "secrets" not in page.content()
            assert page.evaluate("[localStorage.length, document.cookie, Object.values(sessionStorage)]") == [
                0, "", [key]]  # fmt: skip
            page.get_by_role("button", name="Copy as curl").click()
            assert key not in page.content() + page.url
            page.get_by_role("button", name="Forget the key").click()
            expect(page.locator("#standing")).to_have_text("A key is needed.")
            assert page.evaluate("sessionStorage.length") == 0
            assert "sales" not in page.locator("main").inner_text()


@pytest.mark.long
def test_it_fits_a_small_phone(browser: Browser, stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales_of_everything_that_is_sold_in_the_whole_of_europe"))
    stand.commit([event(country="Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 3)])
    serving.rows("sales_of_everything_that_is_sold_in_the_whole_of_europe")
    with opened(browser, serving.http.base_url, viewport={"width": 320, "height": 600}) as page:
        page.wait_for_selector("#rows td")
        for copy in ("curl", "Python", "SQL"):
            page.get_by_role("button", name=f"Copy as {copy}").click()
            assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.long
def test_it_can_be_used_by_keyboard_alone(browser: Browser, sales: ViewSpec, serving: Client) -> None:
    with opened(browser, serving.http.base_url, BY_COUNTRY) as page:
        until(lambda: len(rows(page)) == 2)
        focused = "document.activeElement.textContent.trim() || document.activeElement.value"
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == "product":
                page.keyboard.press("Space")
            if page.evaluate(focused) == "Ask":
                break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        until(lambda: rows(page) == [["DE", "2", "1"], ["FR", "1", "2"]])


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_those_who_see_or_hear_it_otherwise(
    browser: Browser, sales: ViewSpec, stand: Stand, serving: Client, scheme: str
) -> None:
    stand.batch("sales")
    with opened(browser, serving.http.base_url, BY_COUNTRY + "&bucket=1h", color_scheme=scheme) as page:
        page.wait_for_selector("#chart path", state="attached")
        page.get_by_role("button", name="Copy as SQL").click()
        page.get_by_label("Limit").fill("0")
        found = Axe().run(page).response["violations"]
        grave = [(v["id"], n["html"]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]]
        assert not grave
