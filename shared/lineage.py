"""Lineage for an OpenLineage receiver: which job makes which table and view of which topic. When it is told, and how.

A receiver that does not answer fails no job: a warning, after five seconds at most.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from dovetail.shared.declare import Source, View
from dovetail.shared.ledger import LedgerRow, VersionId
from dovetail.shared.log import Log
from dovetail.shared.manifest import Manifest
from dovetail.shared.project import Project
from dovetail.shared.secrets import know

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dovetail.shared.lineage_events import Event

GIVE_UP = 5.0
"""Seconds that a job waits for the receiver, each time."""
ENDPOINT = "api/v1/lineage"
"""What OpenLineage puts after an address without a path."""

log = logging.getLogger(__name__)


class Planned(Protocol):
    """What a batch is about to compute."""

    @property
    def version(self) -> VersionId: ...


class Batch(Protocol):
    """A batch of one view: see `batch/job.py`."""

    def __call__(
        self,
        project: Project,
        view: View,
        log: Log,
        spark: SparkSession,
        *,
        full: bool = False,
        despite: str | None = None,
        on_plan: Callable[[Any], None] = lambda _: None,
    ) -> Manifest | None: ...


def of_batch(run: Batch) -> Batch:
    """A batch that also tells of each run that it plans: START, and COMPLETE or FAIL."""

    @wraps(run)
    def telling(
        project: Project,
        view: View,
        log: Log,
        spark: SparkSession,
        *,
        full: bool = False,
        despite: str | None = None,
        on_plan: Callable[[Any], None] = lambda _: None,
    ) -> Manifest | None:
        planned, run_id = list[VersionId](), str(uuid.uuid4())

        def on_planned(plan: Planned) -> None:
            planned.append(plan.version)
            tell("START")
            on_plan(plan)

        def tell(state: str, **known: Any) -> None:
            def events() -> Sequence[Event]:
                from dovetail.shared.lineage_events import Told

                return [Told(project, view, planned[-1], log.bootstrap).of_batch(run_id, state, **known)]

            _tell(project, events)

        try:
            manifest = run(project, view, log, spark, full=full, despite=despite, on_plan=on_planned)
        except BaseException as error:
            if planned:
                tell("FAIL", error=type(error).__name__)
            raise
        if planned and manifest is not None:
            tell("COMPLETE", run=manifest.runs[-1])
        return manifest

    return telling


def of_speed(project: Project, source: Source, log: Log, opened: LedgerRow) -> None:
    """Tells of each version that a speed job folds for as it starts."""

    def events() -> Sequence[Event]:
        from dovetail.shared.lineage_events import Told

        views = {project.version(view): view for view in project.views_of(source)}
        return [Told(project, views.get(v), v, log.bootstrap).of_speed(str(uuid.uuid4())) for v in opened.versions]

    _tell(project, events)


def _tell(project: Project, events: Callable[[], Sequence[Event]]) -> None:
    """Sends what `events` gives, and logs why where that cannot be."""
    address = project.settings.telemetry.lineage
    if not address:
        return
    try:
        why = _sent(address, events())
    except ModuleNotFoundError as error:
        why = f"{error.name} is not installed: pip install 'dovetail[lineage]'"
    except Exception as error:  # noqa: BLE001  the edge: the job is worth more than who watches it
        why = f"{type(error).__name__}: {error}"
    if why:
        log.warning("the receiver of lineage at %s was not told: %s", address, why)


def _sent(address: str, events: Sequence[Event]) -> str:
    """Why the events were not sent; empty where they were.

    In a thread, since to look up a name may take longer than any time-out of the client knows.
    """
    # The transport alone: the library's client would add what it finds in the environment and in git.
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    key = know(os.environ.get("OPENLINEAGE_API_KEY", ""))
    auth = ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({})
    endpoint = "" if urlsplit(address).path.strip("/") else ENDPOINT
    transport = HttpTransport(HttpConfig(address, endpoint, GIVE_UP, auth=auth, retry={"total": 0}))
    ended = [f"it does not answer within {GIVE_UP:.0f} s"]

    def send() -> None:
        try:
            for event in events:
                transport.emit(event)
            ended[:] = [""]
        except Exception as error:  # noqa: BLE001  as above
            ended[:] = [f"{type(error).__name__}: {error}"]
        finally:
            transport.close()

    sending = threading.Thread(target=send, name="dovetail-lineage", daemon=True)
    sending.start()
    sending.join(GIVE_UP)
    return ended[0]
