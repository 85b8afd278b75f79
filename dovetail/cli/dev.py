"""`dovetail dev`: every layer of a project on this machine, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from dovetail.cli import generate
from dovetail.cli.nightly import Nightly
from dovetail.cli.output import Output
from dovetail.cli.run import wait_for_stop
from dovetail.cli.session import find_log
from dovetail.cli.stack import Child, Stack, stack
from dovetail.shared import jars
from dovetail.shared.broker import Broker, running
from dovetail.shared.declare import Source
from dovetail.shared.log import Log
from dovetail.shared.project import Project

START_S = 180


def run(project: Project, output: Output) -> None:
    """Runs the project until SIGINT or SIGTERM; data stay in its folder."""
    with stack(project.settings.folder, project.settings.storage.here / "logs") as (processes, outer):
        log = start_layers(project, processes, outer, output)
        for source in project.sources.values():
            start_generator(project, log, source, outer, output)
        first_answer(project, processes, output)
        start_archives(project, processes, output)
        output.line("Ctrl-C stops all; data stay in " + str(project.settings.storage.path))
        nightly = scheduled(project, processes, outer, output)

        def look() -> None:
            processes.revive(output.note)
            nightly()

        wait_for_stop(look)


def scheduled(project: Project, processes: Stack, outer: ExitStack, output: Output) -> Callable[[], object]:
    """Runs the batches of `[batch] every` while it is called; nothing where that says never."""
    from dovetail.batch.schedule import ages

    if not (every := project.settings.batch.every_seconds):
        return lambda: None

    def start(view: str) -> Child:
        # Beside the stack: it ends by itself, and may fail while the layers go on.
        return Child(f"batch-{view}", ["batch", view, "--json"], folder=processes.folder, logs=processes.logs)

    views = [view for view in project.views.values() if view.batch]
    nightly = Nightly(every, lambda: ages(project.layout, views, time.time()), start, output.note)
    outer.callback(nightly.stop)
    return nightly


def start_layers(project: Project, processes: Stack, outer: ExitStack, output: Output) -> Log:
    """The broker (where embedded) and the topics, waited for; then serving and speed on their way."""
    settings = project.settings
    jars.ensure("spark", on_progress=output.progress())
    folder = settings.storage.here / "kafka"
    if settings.kafka.bootstrap == "embedded" and running(folder) is None:
        outer.enter_context(Broker.start(folder, port=settings.kafka.port or None, on_progress=output.progress()))
    log = find_log(settings)
    for source in project.sources.values():
        log.create(source.topic, partitions=settings.kafka.partitions)
        partitions = len(log.extent(source.topic).end)
        output.note(f"kafka    {log.bootstrap}, topic {source.topic}, {partitions} partitions")
    processes.start("serving", "serve")
    for source in project.sources.values():
        processes.start(f"speed-{source.name}", "speed", source.name, "--json")
    return log


def start_archives(project: Project, processes: Stack, output: Output) -> None:
    """The archives: after the first answer, which does not need them and would wait for their start."""
    for source in project.sources:
        child = processes.start(f"archive-{source}", "archive", source, "--json")
        processes.wait(f"the archive of {source}", child.ready.is_set, seconds=START_S)
        output.note(f"archive  {source}")


def start_generator(project: Project, log: Log, source: Source, outer: ExitStack, output: Output) -> None:
    """Sends the project's generated records, where it has a generator and this is its first source."""
    dev = project.settings.dev
    if not dev.generator or not dev.rate or source is not next(iter(project.sources.values())):
        return
    records = generate.load(project.settings.folder / dev.generator, seed=dev.seed)
    generator = generate.Generator(log, source.topic, records, dev.rate).start()
    outer.callback(generator.stop)
    output.note(f"sending  {dev.rate} records/s to {source.topic} (seed {dev.seed})")


def first_answer(project: Project, processes: Stack, output: Output) -> None:
    """Waits until every view answers, and says where."""
    address = f"http://{project.settings.serving.host}:{project.settings.serving.port}"

    def answers() -> bool:
        try:
            # Who has no key is told no more than that somebody is there.
            return httpx.get(f"{address}/ready", timeout=5).status_code in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
        except httpx.HTTPError:
            return False

    for source in project.sources:
        processes.wait(f"speed of {source}", processes.children[f"speed-{source}"].ready.is_set, seconds=START_S)
        output.note(f"speed    {source}")
    processes.wait("the first answer", answers, seconds=START_S)
    output.note(f"serving  {address}")
