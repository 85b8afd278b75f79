"""The seam to the engine: a session that speaks PySpark's DataFrame API. Only this file knows how it starts."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from dovetail.shared.class_archive import ClassArchive, Program, class_archive
from dovetail.shared.errors import UsageError
from dovetail.shared.jars import ensure
from dovetail.shared.java import find_java
from dovetail.shared.places import is_remote, spark_conf
from dovetail.shared.registry import session_conf
from dovetail.shared.settings import Settings

if TYPE_CHECKING:
    from py4j.java_gateway import JavaGateway
    from pyspark.sql import DataFrame, SparkSession

SLICES = 8
QUICK = ["-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=240m", "-XX:+UseSerialGC"]
"""The light compiler: half the processor time until the first answers; the heavy one only pays over minutes.

Its code cache is 48 MB if nothing is said: full after a minute of streaming, then emptied and compiled anew.
"""
FOUND_FIRST = (
    "spark-catalyst", "scala-library", "spark-core", "spark-sql", "scala-reflect", "jackson-databind", "parquet-",
    "hadoop-client-api", "log4j-core", "janino", "arrow-vector",
)  # fmt: skip
"""Of Spark's own jars those with most of the classes: Java looks for each class in one jar after the other, 290 of them
in an order that the file system chooses. So the archive of its classes is made in two thirds of the time.
"""
LAUNCHED_S = 30.0
"""Seconds in which a JVM says where it listens. One that cannot write that down, where the disk is full, lives on and
says nothing, and pyspark would wait for it as long as it does.
"""
LOG_CONF = Path(__file__).resolve().parent.parent / "conf" / "spark-log4j2.properties"
CLASS_PATH = "spark.driver.extraClassPath"
JAVA_OPTIONS = "spark.driver.extraJavaOptions"
CHECKPOINTING = "org.apache.spark.sql.execution.streaming.checkpointing"
CONF = {
    "spark.ui.enabled": "false",
    # Spark's own, and a login and a key in the words of Kafka's client: a printed plan has its source's options.
    "spark.redaction.regex": "(?i)secret|password|token|access[.]?key|jaas[.]config|keystore[.]key",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    "spark.sql.shuffle.partitions": "4",
    # As every other reader takes them; Spark's own, of 96 bits, come without a zone.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Delta's own bookkeeping: 50 tasks a look is for tables of millions of files.
    "spark.databricks.delta.snapshotPartitions": "2",
    # More than this in one answer to the driver fails the job; the caller then asks in slices.
    "spark.driver.maxResultSize": "256m",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    # The checkpoint is scratch: sums over its files would guard what nobody trusts.
    "spark.sql.streaming.checkpoint.fileChecksum.enabled": "false",
    "spark.sql.streaming.minBatchesToRetain": "2",
    # On a local disk the default one starts a process for every file it writes: 50 ms of each micro-batch.
    "spark.sql.streaming.checkpointFileManagerClass": f"{CHECKPOINTING}.FileSystemBasedCheckpointFileManager",
}


def start(
    settings: Settings,
    app: str,
    *,
    conf: dict[str, str] | None = None,
    heavy: bool = False,
    on_progress: Callable[[str], None] | None = None,
) -> SparkSession:
    """A session with Delta and Kafka on its class path; `heavy` when it will fold millions of rows in one go.

    Raises:
        ServiceMissing: no Java ≥ 17, or jars that cannot be fetched.
        UsageError: pyspark is not installed.
    """
    java = find_java()
    remote = is_remote(settings.storage.path)
    jars = [jar for which in ("spark", *(("s3",) if remote else ())) for jar in ensure(which, on_progress=on_progress)]
    try:
        import pyspark
    except ImportError:
        raise UsageError("pyspark is not installed", next="pip install 'dovetail[spark]'") from None
    python = settings.spark.conf.get("spark.pyspark.python")  # which pyspark itself reads from the environment alone
    if python or settings.spark.master.startswith("local"):
        os.environ["PYSPARK_PYTHON"] = python or sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # For the short-lived JVM in which Spark puts the command line together: half its processor time.
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    os.environ["JAVA_HOME"] = str(Path(java.executable).resolve().parent.parent)
    shipped = sorted((Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent) / "jars").iterdir())
    every = {
        **CONF,
        "spark.app.name": f"dovetail {app}",
        "spark.master": settings.spark.master,
        JAVA_OPTIONS: " ".join([f"-Dlog4j2.configurationFile={LOG_CONF.as_uri()}", *([] if heavy else QUICK)]),
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.sql.warehouse.dir": str(settings.storage.here / "scratch" / "warehouse"),
        **spark_conf(settings.storage.path),
        **_jars(jars, shipped, settings.spark.master),
        **session_conf(str(settings.storage.path), settings.folder, **settings.registry.given),
        **(conf or {}),
        **settings.spark.resolved_conf(),
    }
    archive = class_archive(java, [*every[CLASS_PATH].split(os.pathsep), *shipped])
    return _session(every, settings.storage.here / "logs" / f"spark-{app}.log", archive)


def _jars(jars: Sequence[Path], shipped: Sequence[Path], master: str) -> dict[str, str]:
    """The jars on the driver's own class path, since only that can be archived; executors elsewhere are sent them."""
    sent = {} if re.fullmatch(r"local(\[.*\])?", master) else {"spark.jars": ",".join(map(str, jars))}
    first = (jar for name in FOUND_FIRST for jar in shipped if jar.name.startswith(name))
    return {CLASS_PATH: os.pathsep.join(map(str, (*jars, *first))), **sent}


def _session(conf: dict[str, str], log: Path, archive: ClassArchive | None) -> SparkSession:
    """A session in a JVM of its own; where there is no archive of its classes yet, one is made beside it."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    gateway = _jvm(conf, log, archive)
    session = SparkSession(SparkContext(conf=SparkConf(loadDefaults=False).setAll(list(conf.items())), gateway=gateway))
    if archive is not None and archive.wanted():
        archive.make_beside(_program(gateway))
    return session


def _jvm(conf: dict[str, str], log: Path, archive: ClassArchive | None) -> JavaGateway:
    """A JVM with the archive of its classes where there is one; without it where it does not start with it."""
    from pyspark.errors import PySparkRuntimeError

    options = archive.options() if archive else []
    with_archive = " ".join([*(f'"{option}"' for option in options), conf[JAVA_OPTIONS]])
    try:
        gateway = _launched({**conf, JAVA_OPTIONS: with_archive}, log)
    except PySparkRuntimeError:
        if archive is None or not options:
            raise
        archive.doubt()
        return _launched(conf, log)
    if archive is not None:
        archive.trust()
    return gateway


def _launched(conf: dict[str, str], log: Path) -> JavaGateway:
    """A JVM in its own process group, so that only this process tells it to stop; its log goes to a file.

    The JVM ends when this process does, however that ends: it reads a pipe from it.
    """
    from pyspark import SparkConf
    from pyspark.java_gateway import launch_gateway

    log.parent.mkdir(parents=True, exist_ok=True)
    every = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    with log.open("ab") as sink, _given_up_after(LAUNCHED_S):
        return launch_gateway(every, {"stdout": sink, "stderr": sink, "start_new_session": True})  # type: ignore[no-untyped-call]


@contextmanager
def _given_up_after(seconds: float) -> Iterator[None]:
    """Kills the process groups that this process has started in the block where that takes longer than it may."""
    import psutil

    before = {*psutil.Process().children()}

    def end() -> None:
        for child in {*psutil.Process().children()} - before:
            with suppress(ProcessLookupError):  # it has ended, or leads no group
                os.killpg(child.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _program(gateway: JavaGateway) -> Program:
    """What runs behind `gateway`, as it says itself: Spark's launcher added to what we gave it."""
    runtime = gateway.jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    java = Path(os.environ["JAVA_HOME"], "bin", "java")
    return Program(java, tuple(runtime.getInputArguments()), str(runtime.getClassPath()))


def hush() -> None:
    """From now on pyspark does not also log each error that it raises, with the whole trace of the JVM."""
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def is_gone(error: BaseException) -> bool:
    """Whether `error` says that the engine's JVM has ended, or could not begin."""
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    if isinstance(error, PySparkException):
        return error.getCondition() == "JAVA_GATEWAY_EXITED"
    # A call that is cut off comes as a bare Py4JError: what Java itself raises is of a class below it, or has a trace.
    cut_off = type(error) is Py4JError and str(error).startswith("An error occurred") and "Trace:" not in str(error)
    lost = isinstance(error, Py4JNetworkError | ConnectionError) or "Answer from Java side is empty" in str(error)
    return cut_off or lost


def arrow(frame: DataFrame) -> pa.Table:
    """The rows of `frame` as Arrow, brought to this process: for what is known to be small."""
    table: pa.Table = frame.toArrow()
    return table


DISK_REFUSES = "No space left on device|Disk quota exceeded|File too large"
"""What Java says, as an expression, when a file system takes no more."""


def too_large(error: Exception) -> bool:
    """Whether rows were refused because the driver is to hold no more at once."""
    return "maxResultSize" in str(error)


def arrow_slices(frame: DataFrame, keys: Sequence[str], *, parts: int = 1, part: int = 0) -> Iterator[pa.Table]:
    """The rows of `frame` in one Arrow table where the driver's limit allows, else in slices by a hash of `keys`."""
    piece = frame.where(f"pmod({_hash(keys)}, {parts}) = {part}") if parts > 1 else frame
    try:
        table = arrow(piece)
    except Exception as error:
        if not too_large(error) or parts >= SLICES**5 or not keys:
            raise
        for k in range(SLICES):  # a hash that is `part` modulo `parts` is one of these modulo SLICES times as many
            yield from arrow_slices(frame, keys, parts=parts * SLICES, part=part + k * parts)
        return
    yield table


def _hash(keys: Sequence[str]) -> str:
    return f"xxhash64({', '.join(f'`{k}`' for k in keys)})"


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """The Arrow schema of `frame`, without running it."""
    from pyspark.sql.pandas.types import to_arrow_schema

    schema: pa.Schema = to_arrow_schema(frame.schema, timezone="UTC")
    return schema
