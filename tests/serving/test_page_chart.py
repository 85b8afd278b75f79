"""What the live page draws of both layers, what it says of a row, and the answers that it lets others embed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from access_stand import PEPPER, give, place, some
from axe_playwright_python.sync_playwright import Axe
from browser import chromium, opened
from playwright.sync_api import Browser, Page, expect
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.shared import access
from dovetail.shared.grants import Grant

pytestmark = pytest.mark.long
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def sales(stand: Stand, serving: Client) -> ViewSpec:
    """Below the cut 2 FR and 1 DE, above it 2 FR."""
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(), event(country="DE")])
    stand.batch("sales")
    serving.until(lambda: serving.receipt("sales")["runs"] != ["origin"])
    stand.commit([event(amount=Decimal("0.50")), event(amount=Decimal("-2.00"))])
    serving.rows("sales")
    return spec


def shares(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.eval_on_selector_all(
        "#shares tr", "all => all.map(tr => [...tr.children].map(td => td.textContent))"
    )
    return found


def drawn(page: Page) -> list[tuple[str, int]]:
    """The kind of each piece and its length; of all of them the longest is 100."""
    pieces: list[list[Any]] = page.eval_on_selector_all(
        "#chart rect",
        "all => all.map(r => [r.getAttribute('class'), r.getBBox()]).map(([c, b]) => [c, b.width, b.height])",
    )
    along = 1 if len({height for _, _, height in pieces}) == 1 else 2
    longest = max((piece[along] for piece in pieces), default=1)
    return [(piece[0], round(100 * piece[along] / longest)) for piece in pieces]


def until(holds: Any) -> None:
    Client.until(holds, 60.0)


def grave(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(v["id"], n["html"]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]]


def test_a_count_is_stacked_from_both_layers_and_follows_commits_and_the_cut(
    browser: Browser, sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    with opened(browser, serving.http.base_url, "#view=sales&by=country&measures=lines") as page:
        until(lambda: shares(page) == [["DE", "1", "0", "1"], ["FR", "2", "2", "4"]])
        assert drawn(page) == [("batch", 50), ("batch", 100), ("speed", 100)]
        expect(page.locator("#key-of-chart")).to_be_visible()
        expect(page.locator("#meet")).to_have_text("batch below cut 1·2, speed from there to 2·3, seq 3")
        stand.commit([event(country="DE")])
        until(lambda: shares(page) == [["DE", "1", "1", "2"], ["FR", "2", "2", "4"]])
        stand.batch("sales")  # changes no row, so no answer is sent
        until(lambda: shares(page) == [["DE", "2", "0", "2"], ["FR", "4", "0", "4"]])
        assert drawn(page) == [("batch", 50), ("batch", 100)]


def test_what_does_not_add_up_is_a_plain_bar_and_what_is_below_0_hides_nothing(
    browser: Browser, sales: ViewSpec, serving: Client
) -> None:
    with opened(browser, serving.http.base_url, "#view=sales&by=country&measures=most,revenue") as page:
        page.get_by_label("Chart of").select_option("most")
        until(lambda: drawn(page) == [("of-bar", 100), ("of-bar", 100)])
        assert (page.locator("#key-of-chart").is_visible(), page.locator("#of-layers").is_visible()) == (False, False)
        page.get_by_label("Chart of").select_option("revenue")
        until(lambda: shares(page) == [["DE", "10.00", "0", "10.00"], ["FR", "20.00", "-1.50", "18.50"]])
        assert {kind for kind, _ in drawn(page)} == {"of-bar"}


def test_the_time_of_one_group_is_drawn_in_stacked_columns(browser: Browser, sales: ViewSpec, serving: Client) -> None:
    with opened(browser, serving.http.base_url, "#view=sales&bucket=1h&measures=lines") as page:
        until(lambda: drawn(page) == [("batch", 100), ("speed", 67)])
        assert shares(page)[0][1:] == ["3", "2", "5"]


def test_bars_of_an_order_and_a_limit_are_shared_out_as_they_are(
    browser: Browser, sales: ViewSpec, serving: Client
) -> None:
    asked = "#view=sales&by=country&measures=lines&order_by=-lines&limit=1&having.lines.gte=2"
    with opened(browser, serving.http.base_url, asked) as page:
        until(lambda: shares(page) == [["FR", "2", "2", "4"]])


def test_zone_window_and_conditions_of_the_answer_are_asked_and_stay_in_the_link(
    browser: Browser, sales: ViewSpec, serving: Client
) -> None:
    with opened(browser, serving.http.base_url, "#view=sales&by=country&measures=lines") as page:
        page.wait_for_selector("#rows td")
        page.get_by_label("Bucket").fill("1d")
        page.get_by_label("Window").fill("7d")
        page.get_by_label("Time zone").fill("Europe/Paris")
        page.get_by_label("Only answers that").fill("lines.gte=2")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#rows tbody tr")).to_have_text(["FR2026-03-01T00:00:00+01:004"])
        for part in ("bucket=1d", "window=7d", "tz=Europe%2FParis", "having.lines.gte=2"):
            assert part in page.url
        page.get_by_role("button", name="Copy as Python").click()
        assert 'having={"lines": {"gte": ["2"]}}' in page.locator("#copy").inner_text()
    with opened(browser, serving.http.base_url, "#" + page.url.partition("#")[2]) as page:
        expect(page.locator("#rows tbody tr")).to_have_text("FR2026-03-01T00:00:00+01:004")


def test_a_row_gives_the_command_that_lists_its_records(browser: Browser, sales: ViewSpec, serving: Client) -> None:
    with opened(browser, serving.http.base_url, "#view=sales&by=country&bucket=1h&measures=lines") as page:
        page.wait_for_selector("#rows td")
        page.get_by_role("button", name="why").nth(1).click()
        expect(page.locator("#copy")).to_have_text(
            "dovetail why sales country=FR --start 2026-03-01T00:00:00Z --bucket 1h"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_link_shows_one_answer_to_all_and_ends_with_its_key(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: Any
) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some()) as guarded:
        url = str(guarded.client.http.base_url).rstrip("/")
        key = give(guarded.stand.layout, Grant("sales", roles=("read", "share"), views=("sales",)))
        with opened(browser, url, "/#view=sales&by=country&measures=lines", color_scheme=scheme) as page:
            page.get_by_label("Key", exact=True).fill(key)
            page.get_by_role("button", name="Use this key").click()
            page.wait_for_selector("#rows td")
            assert "secrets" not in page.content()
            page.get_by_role("button", name="Make a link to embed").click()
            expect(page.locator("#copy")).to_contain_text("<iframe src=")
            assert not grave(page)
            link = page.locator("#copy").inner_text().split('"')[1]
        with opened(browser, url, link.removeprefix(url), color_scheme=scheme) as page:
            assert page.locator("#rows tbody tr").all_text_contents() == ["DE16", "FR16", "US16", "null16"]
            assert not grave(page)
            page.evaluate("window.loadedOnce = true")
            guarded.stand.commit([event(country="DE", product=1)])
            expect(page.locator("#rows tbody tr").first).to_have_text("DE17")
            access.change(guarded.stand.layout, lambda held: held.without_grant("sales"))
            expect(page.locator("#problem")).to_have_text("This link shows nothing any more.")
            assert page.locator("#rows td").count() == 0
            assert page.evaluate("window.loadedOnce") is True


@pytest.fixture
def framing(tmp_path: Path) -> Iterator[str]:
    """The address of another server, whose one document is in `others`: a browser lets no page from elsewhere ask this
    machine."""
    (tmp_path / "others").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "others")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_another_page_may_have_a_link_in_a_frame_and_not_the_page_itself(
    browser: Browser, tmp_path: Path, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some()) as guarded:
        url = str(guarded.client.http.base_url).rstrip("/")
        key = give(guarded.stand.layout, Grant("sales", roles=("read", "share"), views=("sales",)))
        with guarded.with_(f"Bearer {key}") as http:
            link = http.post("/v1/views/sales/embed", json={"question": "by=country&measures=lines"}).json()["path"]
        document = tmp_path / "others" / "index.html"
        page = browser.new_page()
        for sandbox, path, rows in (("", link, 4), ('sandbox=""', link, 4), ("", "/", 0)):
            document.write_text(f'<iframe src="{url}{path}" {sandbox}></iframe>')
            page.goto(framing)
            frame = page.frame_locator("iframe")
            if rows:
                expect(frame.locator("#rows tbody tr")).to_have_count(rows)
            else:
                page.wait_for_timeout(1_000)
                assert frame.locator("#standing").count() == 0
        page.close()
