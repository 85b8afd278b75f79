"""What cannot be answered tells readers that it cannot, and those who operate the view which files and hosts it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest
from access_stand import ALL, PEPPER, REQUIRED, Place, give
from serving_stand import Stand, ViewSpec, event, serve

from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.grants import Grant

HOST = "jdbc:postgresql://db.internal:5432/shop"
READERS = Grant("readers", views=("*",))
BROKEN = ("missing", "holed")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A view without its run's table, one without a file of its states, one whose dimension is out of reach."""
    folder = tmp_path_factory.mktemp("inside")
    stand = Stand(folder / "data")
    for name in (*BROKEN, "sales"):
        stand.attach(ViewSpec(name))
    stand.commit([event()])
    run = stand.batch("missing")
    shutil.rmtree(stand.layout.run(run.version, run.id))
    (file,) = stand.layout.states(stand.views["holed"].version).glob("*.parquet")
    file.unlink()
    Joins(stand.layout, "sales").set(["products"])
    products = Versions(stand.layout, "products")
    products.add(pa.table({"product": ["1"], "line": ["Cars"]}), key="product")
    products.checked(problem=f"dimension products cannot be read from {HOST} products (the connection was refused)")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        with serve(folder, stand, key=give(stand.layout, ALL), access=REQUIRED) as client:
            client.rows("sales")
            for name in BROKEN:
                client.until(lambda of=name: "cannot be answered" in client.get(of).text)  # type: ignore[misc]
            yield Place(stand, client)


def said(http: httpx.Client) -> dict[str, str]:
    """All that is told of the three views, by what was asked."""
    paths = ["/v1/views", "/v1/status"]
    for name in (*BROKEN, "sales"):
        paths += [f"/v1/views/{name}", f"/v1/views/{name}/query"]
    paths += [f"/v1/views/{name}/live" for name in BROKEN]
    return {path: http.get(path).text for path in paths}


def test_readers_are_told_that_it_cannot_be_answered_and_of_no_path_and_no_host(broken: Place) -> None:
    with broken.as_(READERS) as http:
        found = said(http)
    root = str(broken.stand.layout.root)
    assert [path for path, text in found.items() if root in text or "db.internal" in text] == []
    assert "missing cannot be answered: the table of run run" in found["/v1/views/missing/query"]
    assert "holed cannot be answered: its storage cannot be read" in found["/v1/views/holed/live"]
    assert "it could not be read when it was last looked at" in found["/v1/views/sales"]


def test_who_operates_a_view_is_told_where(broken: Place) -> None:
    with broken.as_(Grant("operators", roles=("read", "operate"), views=("missing", "sales"))) as http:
        found, ready = said(http), http.get("/ready").text
    root = str(broken.stand.layout.root)
    for path in ("/v1/views", "/v1/status"):
        assert f"{root}/views/missing/" in found[path]
        assert f"{root}/views/holed/" not in found[path]
    assert f"{root}/views/missing/" in ready
    assert HOST in found["/v1/views/sales"]
