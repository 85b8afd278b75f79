"""`dovetail push`: what it says, how it ends, and that a kill loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from push_stand import Receiver, receiving
from serving_stand import Client, Stand, ViewSpec, event, serve

from dovetail.pushing import deliver
from dovetail.pushing import run as pushes
from dovetail.shared import aside
from dovetail.shared.locks import held
from dovetail.shared.tables import Layout

from .conftest import Run

VIEWS = """
import dovetail as dv

orders = dv.source("orders", schema="country string, product int, amount decimal(10,2)")
sales = dv.view(
    "sales", source=orders, keys=["country", "product"], measures={{"lines": dv.count(), "revenue": dv.sum("amount")}}
)
changed = dv.push(
    sales, to=dv.webhook("{url}", secret="env:PUSH_SECRET"), by="country", measures=["lines", "revenue"], every="50ms"
)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def stand(project: Path) -> Stand:
    found = Stand(project / "data")
    found.attach(ViewSpec("sales"))
    found.commit([event(), event(country="DE")])
    return found


@pytest.fixture
def serving(project: Path, stand: Stand, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    (project / "views.py").write_text(VIEWS.format(url=receiver.url))
    monkeypatch.setenv("PUSH_SECRET", "s3cret")
    with serve(project, stand) as client:
        client.rows("sales")
        monkeypatch.setenv("DOVETAIL__SERVING__PORT", str(client.http.base_url.port))
        yield client


def process(*arguments: str, **env: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "dovetail", "push", *arguments], env={**os.environ, **env},
        stdout=pipe, stderr=pipe, text=True,
    )  # fmt: skip


def test_a_dry_run_says_what_would_be_delivered_and_delivers_nothing(
    run: Run, project: Path, serving: Client, receiver: Receiver
) -> None:
    said = run("push", "--dry-run")
    assert (said.code, said.out) == (0, "changed: 2 changes would be delivered to 127.0.0.1\n")
    document = run("push", "changed", "--dry-run", "--json").document
    assert document == {
        "push": "changed", "delivered": False,
        "changes": [
            {"key": {"country": c}, "before": None, "after": {"lines": 1, "revenue": "10.00"}} for c in ("DE", "FR")
        ],
    }  # fmt: skip
    assert receiver.received == []
    assert not (project / "data" / "push").exists()


def test_it_delivers_until_it_is_told_to_stop(serving: Client, stand: Stand, receiver: Receiver) -> None:
    with process("--json") as one:
        assert one.stdout is not None
        assert one.stderr is not None
        first = orjson.loads(one.stdout.readline())
        stand.commit([event()])
        second = orjson.loads(one.stdout.readline())
        one.send_signal(signal.SIGTERM)
        assert one.wait(30) == 0
        assert one.stderr.read() == ""
    assert (first["push"], first["changes"], first["delivered"], second["changes"]) == ("changed", 2, True, 1)
    assert [len(r.changes) for r in receiver.received] == [2, 1]
    assert all(r.signed for r in receiver.received)


def test_it_stands_aside_while_somebody_is_forgotten_and_goes_on(
    serving: Client, stand: Stand, receiver: Receiver, project: Path
) -> None:
    layout = Layout(project / "data")
    with process("--json") as one:
        assert one.stdout is not None
        one.stdout.readline()
        with (
            aside.asking(layout, "push", "changed", "a test"),
            held(layout.lock("push-changed"), "a test", patience=20),
        ):
            assert "stands aside" in orjson.loads(one.stdout.readline())["aside"]
        assert "begins anew" in orjson.loads(one.stdout.readline())["aside"]
        stand.commit([event()])
        assert orjson.loads(one.stdout.readline())["changes"] == 1
        one.send_signal(signal.SIGTERM)
        assert one.wait(30) == 0
    assert [len(r.changes) for r in receiver.received] == [2, 1]


@pytest.mark.long
@pytest.mark.parametrize("name", ["push.noted", "push.delivered"])
def test_a_kill_around_a_delivery_loses_nothing_and_its_repeat_is_the_same(
    serving: Client, stand: Stand, receiver: Receiver, name: str
) -> None:
    with process(DOVETAIL_TEST_MODE="1", DOVETAIL_FAILPOINT=f"{name}:crash") as killed:
        assert killed.wait(60) == -signal.SIGKILL
    sent = len(receiver.received)
    assert sent == {"push.noted": 0, "push.delivered": 1}[name]
    stand.commit([event()])
    serving.rows("sales")
    with process() as again:
        found = receiver.after(sent + 2)
        again.terminate()
        assert again.wait(30) == 0
    assert [len(r.changes) for r in found[sent:]] == [2, 1]
    assert len({(r.headers["Idempotency-Key"], r.body) for r in found}) == 2


def test_a_receiver_that_stays_away_ends_it_with_exit_3(
    run: Run, serving: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "PATIENCE", replace(deliver.PATIENCE, retries=1))
    receiver.statuses = [503] * 9
    said = run("push")
    assert said.code == 3
    assert said.err.startswith("error  the webhook has not taken a delivery in ")
    assert "where  push changed to 127.0.0.1\n  why  HTTP 503\n next  dovetail push, once it is there" in said.err


def test_a_server_that_is_not_there_is_exit_3(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "views.py").write_text(VIEWS.format(url="https://hooks.example"))
    monkeypatch.setenv("PUSH_SECRET", "s3cret")
    monkeypatch.setenv("DOVETAIL__SERVING__PORT", "1")
    monkeypatch.setattr(pushes, "PATIENCE", 0.1)
    for line in (["push"], ["push", "--dry-run"]):
        said = run(*line)
        assert (said.code, "no answer from http://127.0.0.1:1" in said.err) == (3, True)


def test_what_is_wrong_is_told_before_anything_is_sent(
    run: Run, project: Path, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run("push", "change")
    assert (said.code, "unknown push 'change': did you mean 'changed'?" in said.err) == (2, True)
    with held(Layout(project / "data").lock("push-changed"), "push changed"):
        said = run("push")
    assert (said.code, "push changed runs already" in said.err) == (1, True)
    monkeypatch.delenv("PUSH_SECRET")
    said = run("push")
    assert (said.code, "the variable PUSH_SECRET is not set" in said.err) == (2, True)


def test_a_project_without_a_push_says_how_to_declare_one(run: Run, project: Path) -> None:
    said = run("push")
    assert said.code == 2
    assert said.err.startswith("error  this project declares no push\n")
    assert "dv.push(sales" in said.err
