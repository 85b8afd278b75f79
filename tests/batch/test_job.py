"""The jobs of the batch layer run once at a time, and batch writes nothing that a running speed job owns."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dovetail.batch import archive_job, job
from dovetail.shared import manifest as rules
from dovetail.shared import pauses
from dovetail.shared.errors import Busy, GateClosed, IntegrityError, Paused
from dovetail.shared.ledger import VersionId
from dovetail.shared.locks import held, is_held
from dovetail.shared.manifest import ORIGIN, Manifest, Run, RunId
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import Layout

SOURCE: Any = SimpleNamespace(name="lines")
VIEW: Any = SimpleNamespace(name="sales", source=SOURCE, speed=True)
NONE: Any = None


@pytest.fixture
def project(tmp_path: Path) -> Any:
    settings = SimpleNamespace(archive=None, speed=SimpleNamespace(max_records_per_commit=1))
    return SimpleNamespace(layout=Layout(tmp_path), settings=settings)


def test_a_second_batch_of_a_view_is_refused(project: Any) -> None:
    with (
        held(project.layout.lock("batch-sales"), "the first"),
        pytest.raises(Busy, match="a batch of sales runs already"),
    ):
        job.run(project, VIEW, NONE, NONE)


def test_a_second_archive_of_a_source_is_refused(project: Any) -> None:
    with (
        held(project.layout.lock("archive-lines"), "the first"),
        pytest.raises(Busy, match="the archive of lines runs already"),
    ):
        archive_job.run(project, SOURCE, NONE, NONE)


@pytest.mark.parametrize("running", [True, False])
def test_batch_commits_and_tidies_only_where_no_speed_job_runs(
    project: Any, running: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    monkeypatch.setattr(job.recompute, "catch_up", lambda *_, **__: done.append("caught up"))
    monkeypatch.setattr(job, "tidy", lambda *_: done.append("tidied"))
    master: Any = SimpleNamespace(release=lambda: None)
    with held(project.layout.lock("speed-lines" if running else "speed-others"), "the speed job"):
        job.catch_up_if_stopped(project, SOURCE, NONE, master)
        job._tidy_if_stopped(project, VIEW)
    assert done == ([] if running else ["caught up", "tidied"])


def test_a_paused_start_of_the_archive_waits_before_it_opens_anything(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened = list[str]()

    def opened(*_: Any) -> None:
        happened.append("opened")
        raise InterruptedError

    def told(said: str) -> None:
        happened.append(said.rpartition(": ")[2])
        pauses.resume(project.layout, "archive", "lines")

    monkeypatch.setattr(archive_job, "open_ledger", opened)
    monkeypatch.setattr(pauses, "LOOK_S", 0.01)
    pauses.pause(project.layout, "archive", "lines", because="the disk is moved")
    with pytest.raises(InterruptedError):
        archive_job.run(project, SOURCE, NONE, NONE, on_pause=told)
    assert happened == ["dovetail resume archive lines", "archive of lines goes on", "opened"]


def test_a_paused_batch_of_a_view_is_refused(project: Any) -> None:
    pauses.pause(project.layout, "batch", "sales", because="the disk is moved")
    with pytest.raises(Paused, match=r"batch of sales was paused by .* the disk is moved") as refused:
        job.run(project, VIEW, NONE, NONE)
    assert refused.value.next == "dovetail resume batch sales"


def test_batch_commits_nothing_in_the_place_of_a_paused_speed_job(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    monkeypatch.setattr(job.recompute, "catch_up", lambda *_, **__: done.append("caught up"))
    pauses.pause(project.layout, "speed", "lines", because="the disk is moved")
    job.catch_up_if_stopped(project, SOURCE, NONE, NONE)
    assert done == []
    pauses.resume(project.layout, "speed", "lines")
    job.catch_up_if_stopped(project, SOURCE, NONE, NONE)
    assert done == ["caught up"]


@pytest.fixture
def engineless(project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project of a batch all of whose parts do nothing, but for the one that a test puts in."""
    for name in ("put_in_force", "DeltaMaster", "catch_up_if_stopped", "_tidy_if_stopped"):
        monkeypatch.setattr(job, name, lambda *_, **__: None)
    monkeypatch.setattr(job, "open_ledger", lambda *_: SimpleNamespace(last=lambda: None))
    monkeypatch.setattr(job, "attach_declared", lambda *_: "sales@1")
    monkeypatch.setattr(job, "Judge", SimpleNamespace(of_commits=lambda *_, **__: None))
    project.settings.speed.stop_if_quarantined, project.version = None, lambda _: "sales@1"
    project.settings.retention = SimpleNamespace(rollbacks=2, rollback_seconds=0.0)
    project.settings.telemetry = SimpleNamespace(lineage="")
    return project


def test_a_batch_tells_of_its_lineage_once_it_has_planned(engineless: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: Any, on_plan: Any, **__: Any) -> None:
        on_plan(SimpleNamespace(version="sales@1"))

    told = list[Any]()
    monkeypatch.setattr("dovetail.shared.lineage._tell", lambda project, _: told.append(project))
    monkeypatch.setattr(job.recompute, "run", computed)
    assert job.run(engineless, VIEW, NONE, NONE) is None
    assert told == [engineless]


@pytest.mark.parametrize("tidied", [True, False])
def test_a_promotion_is_told_once_the_lock_is_free_whatever_comes_of_the_tidying(
    engineless: Any, tidied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(RunId("1"), VersionId("sales@1"), -1, 1, Range(Position(), Position()))
    promoted, told = rules.first("sales", (run,), "by night"), list[Any]()

    def tidy(*_: Any) -> None:
        if not tidied:
            raise PermissionError("the disk is read-only by now")

    def hook(_: Any, before: Any, now: Manifest, *, by: str) -> None:
        told.append((before, now, by, is_held(engineless.layout.lock("batch-sales"))))

    monkeypatch.setattr(job.recompute, "run", lambda *_, **__: promoted)
    monkeypatch.setattr(job, "_tidy_if_stopped", tidy)
    monkeypatch.setattr("dovetail.shared.hooks.promoted", hook)
    with nullcontext() if tidied else pytest.raises(PermissionError):
        job.run(engineless, VIEW, NONE, NONE)
    assert told == [(None, promoted, "batch", False)]


@pytest.mark.parametrize("reason", [None, GateClosed("lines 10 → 1")])
def test_where_nothing_is_promoted_nothing_is_told(
    engineless: Any, reason: GateClosed | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(*_: Any, **__: Any) -> None:
        if reason:
            raise reason

    monkeypatch.setattr(job.recompute, "run", computed)
    monkeypatch.setattr("dovetail.shared.hooks.promoted", None)
    with pytest.raises(GateClosed) if reason else nullcontext():
        job.run(engineless, VIEW, NONE, NONE)


@pytest.mark.parametrize("reason", [GateClosed("lines 10 → 1"), IntegrityError("9 records of seq 3, 10 consumed")])
def test_the_run_of_a_batch_that_may_not_answer_is_deleted(
    engineless: Any, reason: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, left = SimpleNamespace(live="sales@1"), list[Any]()

    def computed(*_: Any, **__: Any) -> None:
        raise reason

    monkeypatch.setattr(job, "DeltaManifest", lambda _: SimpleNamespace(read=lambda: found))
    monkeypatch.setattr(job, "delete_unnamed_runs", lambda _, manifest: left.append(manifest))
    monkeypatch.setattr(job.recompute, "run", computed)
    with pytest.raises(type(reason)):
        job.run(engineless, VIEW, NONE, NONE)
    assert left == [found]


def test_trino_follows_before_anything_that_its_view_reads_is_deleted(
    engineless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, found = list[str](), SimpleNamespace(live="sales@1")
    for name in ("raise_floors", "delete_unnamed_runs", "retire"):
        monkeypatch.setattr(job, name, lambda *_, name=name: done.append(name))
    monkeypatch.setattr(job, "_tidy_if_stopped", lambda *_: None)
    monkeypatch.setattr(job, "DeltaManifest", lambda _: SimpleNamespace(read=lambda: found))
    monkeypatch.setattr(job.recompute, "run", lambda *_, **__: found)
    monkeypatch.setattr("dovetail.shared.hooks.promoted", lambda *_, **__: None)
    monkeypatch.setattr(job.trino, "follow", lambda _, view: done.append(f"trino {view}"))
    job.run(engineless, VIEW, NONE, NONE)
    assert done == ["trino sales", "raise_floors", "delete_unnamed_runs", "retire"]


@pytest.mark.parametrize(("left", "answers"), [(True, "sales@1"), (False, "sales@2")])
def test_a_full_batch_does_not_bring_back_what_a_rollback_has_left(
    project: Any, monkeypatch: pytest.MonkeyPatch, left: bool, answers: str
) -> None:
    manifests, versions = DeltaManifest(project.layout.manifest("sales")), (VersionId("sales@1"), VersionId("sales@2"))
    one, two = ((Run(ORIGIN, version, -1, 0, Range(Position({0: 0}), Position({0: 0}))),) for version in versions)
    first = rules.first("sales", one, "first")
    forth = rules.promoted(first, two, keep=2, note="promote")
    for each in (first, forth, rules.promoted(forth, one, keep=2, note="rollback", back=left)):
        manifests.swap(each)
    computed, attached = list[str](), list[str]()
    for name in ("put_in_force", "DeltaMaster", "judging_master", "catch_up_if_stopped", "_tidy_if_stopped", "retire"):
        monkeypatch.setattr(job, name, lambda *_, **__: None)
    monkeypatch.setattr(job.trino, "follow", lambda *_: None)
    monkeypatch.setattr(job, "open_ledger", lambda *_: None)
    monkeypatch.setattr(job, "DeltaMaster", lambda *_: SimpleNamespace(claim=lambda: None))
    monkeypatch.setattr(job, "attach_declared", lambda *_: attached.append("sales@2"))
    monkeypatch.setattr(job, "attach", lambda _, version, **__: attached.append(version))
    monkeypatch.setattr(job.recompute, "run", lambda _, version, **__: computed.append(version))
    monkeypatch.setattr(job.recompute, "plan", lambda *given, **__: computed.append(given[3]))
    project.settings.retention = SimpleNamespace(rollbacks=2, rollback_seconds=0.0)
    project.version = lambda _: "sales@2"
    job.run(project, VIEW, NONE, NONE, full=True)
    job.plan(project, VIEW, NONE, NONE, full=True)
    assert (computed, attached) == ([answers, answers], [answers]), "it is in force, and the dry run says the same"
    job.run(project, VIEW, NONE, NONE)
    assert computed[-1] == "sales@1", "a nightly one goes on with what answers"
