"""A server whose runs are in a real Trino says what one says that holds them, whatever happens to either."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from access_stand import PEPPER, REQUIRED, give
from trino_server import TrinoServer, running
from trino_stand import Lake
from two_engines import EXACT, LOADED, Two, alike, attached, both, records

from dovetail.shared.grants import Grant

pytestmark = [pytest.mark.long, pytest.mark.java, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrinoServer]:
    with running(tmp_path_factory.mktemp("trino")) as found:
        yield found


@pytest.fixture
def lake(tmp_path: Path, server: TrinoServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    folder = tmp_path / f"engine{abs(hash(request.node.name))}"
    folder.mkdir()
    found = Lake(folder, server.url)
    attached(found.stand, monkeypatch)
    found.stand.commit(records(60, seed=1))
    for view in found.stand.views:
        found.stand.batch(view)
    found.stand.commit(records(20, seed=2))
    return found


@pytest.fixture
def two(lake: Lake) -> Iterator[Two]:
    with both(lake.folder, lake.stand, lake.settings.trino.model_dump()) as found:
        yield found


def test_both_engines_give_the_same_bytes_across_a_cut_with_a_sync_beside_them(two: Two, lake: Lake) -> None:
    two.agree()
    then = two.held.receipt("sales", by="country", measures=EXACT)["id"]
    lake.sync()
    lake.stand.commit(records(20, seed=3))
    for view in lake.stand.views:
        lake.stand.batch(view)
    lake.sync()
    lake.stand.commit(records(5, seed=4))
    two.agree()
    alike(two.asked("sales", by="country", measures=EXACT, as_of=then, at_least=None))
    keys = [{"country": c, "product": p} for c, p in (("FR", 1), (None, 2), ("nowhere", 3), ("DE", None))]
    body = {"keys": keys, "measures": EXACT.split(",")}
    one, other = (c.http.post("/v1/views/sales/lookup", json=body).json()["rows"] for c in (two.held, two.trino))
    assert one == other


def test_who_sees_less_sees_the_same_of_both(lake: Lake) -> None:
    grants = [
        Grant("rows", views=("sales",), rows={"country": ["FR", "DE"], "vendor": ["Min Lin"]}),
        Grant("masks", views=("sales",), columns={"country": "hash", "product": "bucket(2)", "revenue": "null"}),
        Grant("floor", views=("sales",), floor=2),
    ]
    with both(lake.folder, lake.stand, lake.settings.trino.model_dump(), access=REQUIRED) as two:
        for grant in grants:
            for client in (two.held, two.trino):
                client.http.headers["authorization"] = f"Bearer {give(lake.stand.layout, grant)}"
            two.settled("sales")
            alike(two.asked("sales", measures=EXACT, by="country"))
            alike(two.asked("sales", measures=EXACT, by="product", where__country="FR,DE", bucket="1d"))


def test_every_answer_over_promotes_is_that_of_its_receipt(two: Two, lake: Lake) -> None:
    answers, stop = dict[str, str](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = two.trino.get("sales", by="country", measures=EXACT)
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                rows, _, receipt = answer.text.partition('"receipt"')
                assert answers.setdefault(answer.json()["receipt"]["id"], rows) == rows, receipt

    two.settled("sales")
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        try:
            for n in range(3):
                lake.stand.commit(records(10, seed=n))
                lake.stand.batch("sales", full=n == 2)
                lake.sync("sales")
                two.settled("sales")
        finally:
            stop.set()
        for each in asking:
            each.result()
    kept = [i for i in answers if two.held.get("sales", by="country", measures=EXACT, as_of=i).status_code == 200]
    assert len({i.partition(".")[0] for i in kept}) >= 3
    for i in kept:
        assert two.held.get("sales", by="country", measures=EXACT, as_of=i).text.startswith(answers[i])


def test_a_query_that_takes_too_long_is_ended_in_trino_too(lake: Lake) -> None:
    with both(lake.folder, lake.stand, lake.settings.trino.model_dump(), limits={"seconds": 0.01}) as two:
        two.trino.until(lambda: two.trino.get("sales", measures="lines").status_code == 422, LOADED)
        answers = [two.trino.answered("sales", by=by, measures="lines") for by in ("country", "product", "vendor")]
    assert {a.status_code for a in answers} == {422}
    ended = lake.rows("SELECT count(*) FROM system.runtime.queries WHERE error_code = 'USER_CANCELED'")
    assert ended[0][0] >= 1
    running = "SELECT count(*) FROM system.runtime.queries WHERE state = 'RUNNING' AND query LIKE '%LIMIT 1000001'"
    assert lake.rows(running + " AND query NOT LIKE '%runtime%'") == [[0]]


def test_trino_killed_in_the_middle_gives_no_half_answer_and_answers_when_it_is_back(
    two: Two, server: TrinoServer
) -> None:
    two.settled("kinds")
    questions = [{"by": by, "where__big__lt": str(n)} for by in ("country", "raw", "day") for n in range(4)]

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(two.trino.get, "kinds", **q) for q in questions]
        while not any(each.done() for each in asked):
            pass
        server.kill()
        answers = [each.result() for each in asked]
    refused = [a for a in answers if a.status_code != 200]
    assert refused
    for a in refused:
        assert (a.status_code, a.json()["type"], a.headers["retry-after"]) == (503, "urn:dovetail:unavailable", "1")
    server.start()
    two.trino.until(lambda: two.trino.get("kinds", by="vip").status_code == 200, LOADED)
    for q, a in zip(questions, answers, strict=True):
        alike(two.asked("kinds", **q))
        if a.status_code == 200:
            assert a.text.partition('"receipt"')[0] == two.held.get("kinds", **q).text.partition('"receipt"')[0]
