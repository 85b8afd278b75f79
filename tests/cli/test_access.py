"""`dovetail access`: grants and keys as they are made, shown once, rotated, revoked, and told of."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from dovetail.shared import access, keys
from dovetail.shared.tables import Layout

from .conftest import Run
from .stub_server import StubServer


def made(run: Run, *arguments: str) -> str:
    said = run("access", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    return str(orjson.loads(said.out)["key"])


def holder(project: Path, key: str, *, later: float = 0.0) -> tuple[str, ...] | None:
    held = access.read(Layout(project / "data"))
    pepper = access.pepper("file:.dovetail/pepper", project)
    found = held.holder(key, pepper, time.time() + later)
    return None if found is None else tuple(g.name for g in found.grants)


@pytest.fixture
def granted(run: Run, project: Path) -> None:
    said = run("access", "grant", "france", "--view", "sales", "--rows", "country=FR", "--rows", "price.gte=1",
               "--mask", "customer=last(4)", "--floor", "5")  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1].split("  ")[0] == "france"


def test_a_grant_is_kept_as_it_was_given(granted: None, run: Run, project: Path) -> None:
    grant = access.read(Layout(project / "data")).grant("france")
    assert grant.rows == {"country": {"in": ["FR"]}, "price": {"gte": ["1"]}}
    assert (grant.columns, grant.floor, grant.roles) == ({"customer": "last(4)"}, 5, ("read",))
    listed = run("access", "list").out
    assert "Nobody needs a key" in listed
    assert "customer=last(4)" in listed


def test_a_key_is_shown_once_and_opens_what_it_holds(granted: None, run: Run, project: Path) -> None:
    key = made(run, "key", "ann", "--grant", "france", "--expires", "1d")
    assert holder(project, key) == ("france",)
    assert holder(project, key, later=86_000) == ("france",)
    assert holder(project, key, later=87_000) is None
    assert holder(project, key[:-1] + ("0" if key[-1] != "0" else "1")) is None
    assert key not in run("access", "list").out + run("access", "list", "--json").out + run("access", "log").out
    assert (project / ".dovetail" / "pepper").stat().st_mode & 0o777 == 0o600


def test_a_rotated_key_goes_on_for_the_overlap_and_the_new_one_holds_the_same(
    granted: None, run: Run, project: Path
) -> None:
    old = made(run, "key", "ann", "--grant", "france")
    new = made(run, "rotate", str(keys.id_of(old)), "--overlap", "10m")
    assert new != old
    for later, good in ((0, True), (500, True), (700, False)):
        assert (holder(project, old, later=later) is not None) == good
        assert holder(project, new, later=later) == ("france",)


def test_a_revoked_key_opens_nothing_and_a_dropped_grant_is_held_by_none(
    granted: None, run: Run, project: Path
) -> None:
    key = made(run, "key", "ann", "--grant", "france")
    assert run("access", "drop", "france").code == 0
    assert holder(project, key) == ()
    assert run("access", "revoke", str(keys.id_of(key))).code == 0
    assert holder(project, key) is None
    whats = [e["what"].split()[0] for e in orjson.loads(run("access", "log", "--json").out)]
    assert whats == ["grant", "key", "drop", "revoke"]


def test_a_dry_run_writes_nothing(granted: None, run: Run, project: Path) -> None:
    key = made(run, "key", "ann", "--grant", "france")
    id_, before = str(keys.id_of(key)), (project / "data" / "access" / "access.json").read_bytes()
    for arguments in (["grant", "other", "--view", "sales"], ["drop", "france"], ["key", "bob", "--grant", "france"],
                      ["rotate", id_], ["revoke", id_]):  # fmt: skip
        said = run("access", *arguments, "--dry-run")
        assert said.out.endswith("Nothing written.\n")
    assert (project / "data" / "access" / "access.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["grant", "Bad Name", "--view", "sales"], "is no name of a grant"),
        (["grant", "x"], "a grant to read names no view"),
        (["grant", "x", "--view", "sales", "--role", "reed"], "unknown role 'reed': did you mean 'read'?"),
        (["grant", "x", "--view", "sales", "--mask", "customer=last"], "'last' is no mask"),
        (["grant", "x", "--view", "sales", "--mask", "customer"], "is not KEY=VALUE"),
        (["drop", "france2"], "unknown grant 'france2': did you mean 'france'?"),
        (["key", "ann", "--grant", "frence"], "unknown grant 'frence': did you mean 'france'?"),
        (["key", "ann", "--grant", "france", "--expires", "soon"], "soon"),
        (["revoke", "abc"], "unknown key 'abc'"),
    ],
)
def test_what_cannot_be_is_refused(granted: None, run: Run, project: Path, arguments: list[str], says: str) -> None:
    said = run("access", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


def test_a_link_is_made_by_the_server_and_shown_with_its_end(run: Run, server: StubServer) -> None:
    server.paths["/v1/views/sales/embed"] = {"path": "/embed/a.b.c", "expires": 1_772_323_200}
    said = run("access", "embed", "sales", "by=country", "--expires", "2d")
    assert (said.code, said.err) == (0, "")
    assert server.asked == [("/v1/views/sales/embed", {"question": "by=country", "expires": "2d"})]
    url, until = said.out.splitlines()
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/embed/a.b.c")
    assert "until 2026-03-01 00:00 UTC" in until
