"""A Structured Streaming query over a topic whose micro-batches come as exact ranges."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from dovetail.shared.aside import StandAside
from dovetail.shared.decode import named
from dovetail.shared.engine import DISK_REFUSES, is_gone
from dovetail.shared.errors import DovetailError, IntegrityError, ServiceMissing
from dovetail.shared.log import Log
from dovetail.shared.offsets import end_of_batch
from dovetail.shared.position import Position, Range
from dovetail.shared.secrets import redacted

Step = Callable[[DataFrame, Range], None]


def follow(
    spark: SparkSession,
    log: Log,
    topic: str,
    start: Position,
    step: Step,
    *,
    scratch: Path,
    prepare: Callable[[DataFrame], DataFrame] = named,
    trigger: str,
    max_records: int,
    on_ready: Callable[[], None] = lambda: None,
    hold_up: Callable[[threading.Event], object] = lambda _: None,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Calls `step` with the records of each range of the topic from `start` on, until SIGTERM or SIGINT.

    `prepare` turns Spark's Kafka columns into what `step` gets: planned once, not again in every micro-batch.
    The checkpoint is fresh at every start: where to begin comes from the caller's own tables. What `step` raises ends
    the query and is raised here. `hold_up` is called before anything of a micro-batch is read, and takes as long as it
    likes, until the event is set, which tells to stop. `look` is called a few times a second, and may raise
    StandAside: it ends the query, and is raised here when no `step` is under way.
    """
    checkpoint = scratch / uuid.uuid4().hex
    shutil.rmtree(scratch, ignore_errors=True)
    position, failure = start, list[BaseException]()
    stopping, stepping = threading.Event(), threading.Lock()

    def on_batch(records: DataFrame, batch_id: int) -> None:
        nonlocal position
        to = end_of_batch(checkpoint, batch_id, topic)
        try:
            hold_up(stopping)
            span = Range(position, to.with_partitions(position))
            with stepping:
                if stopping.is_set():
                    return  # for good: a later micro-batch would not begin where the last one that was read ended
                if not span.empty:
                    step(records, span)
        except BaseException as error:
            failure.append(error)
            raise
        position = span.to

    options = log.spark_options(topic, start, max_records=max_records)
    query = (
        prepare(spark.readStream.format("kafka").options(**options).load())
        .writeStream.foreachBatch(on_batch)
        .option("checkpointLocation", checkpoint.as_uri())
        .trigger(processingTime=trigger)
        .start()
    )
    before = {name: signal.signal(name, lambda *_: stopping.set()) for name in (signal.SIGTERM, signal.SIGINT)}
    on_ready()
    try:
        while not stopping.is_set() and query.isActive:
            stopping.wait(0.2)
            look()
        if failure or query.exception():
            raise _told(failure, query.exception(), topic)
        query.stop()
    except StandAside:
        stopping.set()
        with stepping:  # what is under way is let end: others write once this has returned
            query.stop()
        raise
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        shutil.rmtree(checkpoint, ignore_errors=True)


def _told(failure: list[BaseException], exception: Exception | None, topic: str) -> BaseException:
    """The error to show: the step's own, else what Spark says, in this project's words where it is known."""
    text = f"{failure[0] if failure else ''}\n{exception}"
    if full := re.search(DISK_REFUSES, text):
        return ServiceMissing(
            "the disk refuses what the stream writes", where=topic, why=full[0],
            next="dovetail doctor says how much space is left; then start it again, nothing is lost",
        )  # fmt: skip
    if refused := re.search(r"kafka\.common\.errors\.(\w*(?:Authorization|Authentication)\w*Exception[^\n]*)", text):
        return ServiceMissing(
            "Kafka lets us in no more, or not at this topic", where=topic, why=redacted(refused[1]),
            next="dovetail doctor looks at the login; reading needs Read and Describe on the topic",
        )  # fmt: skip
    if failure and not is_gone(failure[0]):
        return failure[0]
    text = str(exception)
    if any(said in text for said in ("OffsetOutOfRange", "failOnDataLoss", "KAFKA_DATA_LOSS")):
        why = text.partition("Reason: ")[2].partition("\n")[0] or text[:500]
        what = "Kafka no longer holds records that were not read yet, or the topic is another one"
        return IntegrityError(what, where=topic, why=why, next="dovetail status tells which, and how to go on")
    if "TimeoutException" in text or "Connection" in text:
        return ServiceMissing("the Kafka broker stopped answering", where=topic, why=text[:300], next="dovetail doctor")
    return DovetailError("the stream stopped", where=topic, why=text[:2000])
