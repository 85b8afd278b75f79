"""Keys that a source calls sensitive are masked for everybody whose grant does not say that they are seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from access_stand import PEPPER, Place, place, some
from serving_stand import Stand, ViewSpec, event, serve

from dovetail.shared import private
from dovetail.shared.grants import Grant

PLAIN, MASKED = {"FR", "DE", "US", None}, {"***R", "***E", "***S", None}
CLEAR = Grant("clear", views=("*",), columns={"country": "clear"})
OTHERWISE = Grant("otherwise", views=("sales",), columns={"country": "null"})


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with place(tmp_path_factory.mktemp("told"), some()) as found:
            plain = countries(found.client.http)
            private.write(found.stand.layout.sensitive("sales"), b'{"country":"last(1)","gone":"hash"}')
            found.client.until(lambda: countries(found.client.http) != plain)
            yield found


def countries(http: httpx.Client, view: str = "sales", **asked: str) -> set[str | None]:
    answer = http.get(f"/v1/views/{view}/query", params={"by": "country", **asked})
    return {row["country"] for row in answer.raise_for_status().json()["rows"]}


def test_they_are_masked_before_anything_is_done_with_them(told: Place) -> None:
    assert countries(told.client.http) == MASKED
    assert countries(told.client.http, **{"where.country": "***R"}) == {"***R"}
    assert countries(told.client.http, **{"where.country": "FR"}) == set()
    assert countries(told.client.http, "secrets") == PLAIN, "it has none"


def test_a_grant_says_what_is_seen_of_them(told: Place) -> None:
    with told.as_(CLEAR) as clear, told.as_(OTHERWISE) as otherwise:
        assert countries(clear) == PLAIN
        assert countries(otherwise) == {None}


def test_where_they_cannot_be_read_nothing_is_seen(told: Place) -> None:
    file = told.stand.layout.sensitive("sales")
    before = file.read_bytes()
    file.write_bytes(b"{")
    try:
        told.client.until(lambda: told.client.get("sales", by="country").status_code == 503)
        assert told.client.get("secrets", by="country").status_code == 200
    finally:
        file.write_bytes(before)
    told.client.until(lambda: told.client.get("sales", by="country").status_code == 200)
    assert countries(told.client.http) == MASKED


def test_so_they_are_where_nobody_needs_a_key_from_the_first_answer_on(tmp_path: Path, stand: Stand) -> None:
    stand.attach(ViewSpec("sales"))
    private.write(stand.layout.sensitive("sales"), b'{"country":"last(1)"}')
    stand.commit([event(country="FR")])
    with serve(tmp_path, stand) as client:
        assert client.rows("sales", by="country")[0]["country"] == "***R"
