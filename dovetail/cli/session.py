"""What most verbs need: the project, the log it reads, a Spark session."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from dovetail.cli.output import Output
from dovetail.shared import logs, project, settings
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.places import is_remote, refuse_unconditional
from dovetail.shared.project import Project
from dovetail.shared.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from dovetail.shared.log import Log


GIVES_WAY = 5
"""How much less urgent than the layers the heavy work is, as `nice` has it: on one machine it takes what they leave."""


def load_settings(context: typer.Context, *, logged: bool = False) -> Settings:
    """The project's settings; `logged` for a verb that runs for long: it logs as they say from now on."""
    found = settings.load(profile=context.obj)
    if logged:
        logs.start_as(found)
        if found.telemetry.logs == "json":
            Output.log = logging.getLogger("dovetail.cli")
            Output.log.setLevel(logging.INFO)
    return found


def load_project(context: typer.Context, *, logged: bool = False) -> Project:
    return project.load(load_settings(context, logged=logged))


def writable(of: Settings) -> None:
    """Raises ServiceMissing when the storage root cannot be written: said before an engine is started for nothing."""
    root = of.storage.here
    if is_remote(of.storage.path):
        refuse_unconditional(of.storage.path)
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ServiceMissing(
            f"{root} cannot be written",
            where="storage.root in dovetail.toml",
            why=f"{there} is {'no folder' if not there.is_dir() else 'not yours to write'}",
            next="set [storage] root to a folder you may write",
        )


def broker_folder(of: Settings) -> str:
    return str(of.storage.here / "kafka")


def find_log(of: Settings) -> Log:
    """The log of the project's broker; raises ServiceMissing when the embedded one does not run."""
    from dovetail.shared.broker import running
    from dovetail.shared.log import Log

    if of.kafka.bootstrap != "embedded":
        return Log(of.kafka.bootstrap, of.kafka.resolved_options())
    bootstrap = running(of.storage.here / "kafka")
    if bootstrap is None:
        raise ServiceMissing(
            "the embedded Kafka broker of this project does not run",
            where=broker_folder(of),
            next="dovetail dev, or dovetail kafka in another terminal",
        )
    return Log(bootstrap, {})


def start_spark(
    of: Settings,
    app: str,
    *,
    conf: dict[str, str] | None = None,
    heavy: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> SparkSession:
    from dovetail.shared import engine

    if heavy:
        os.nice(GIVES_WAY)
    if Output.log:
        engine.hush()  # it has a form of its own for what it also raises
    return engine.start(of, app, conf=conf, heavy=heavy, on_progress=on_progress)
