"""The embedded broker, for real: what clients see, what survives, and that nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from e2e_system import free_port

from dovetail.shared.broker import Broker, running
from dovetail.shared.errors import Busy, ServiceMissing

with warnings.catch_warnings():
    # Upstream: kafka-python 3.0 reads its own schemas with importlib.resources.read_text and open_text.
    warnings.filterwarnings("ignore", "(read|open)_text is deprecated", DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

pytestmark = [pytest.mark.java, pytest.mark.filterwarnings(r"ignore:(read|open)_text is deprecated:DeprecationWarning")]

PARENT = """
import sys, time
from pathlib import Path
from dovetail.shared.broker import Broker
print(Broker.start(Path(sys.argv[1])).bootstrap, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One running broker; its folder's name has a comma and a blank on purpose."""
    with Broker.start(tmp_path_factory.mktemp("broker") / "a, b") as started:
        yield started


@pytest.mark.long
def test_confluent_kafka_reads_what_kafka_python_wrote(broker: Broker) -> None:
    make_topic(broker, "from-python")
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for n in range(3):
        producer.send("from-python", key=b"k", value=b"%d" % n)
    producer.close()
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "test", "auto.offset.reset": "earliest", "log_level": 0}
    )
    consumer.subscribe(["from-python"])
    found = [message.value() for message in consumer.consume(3, timeout=30)]
    consumer.close()
    assert found == [b"0", b"1", b"2"]


def test_kafka_python_reads_what_confluent_kafka_wrote(broker: Broker) -> None:
    make_topic(broker, "from-confluent")
    write(broker, "from-confluent", [b"0", b"1", b"2"])
    assert read(broker, "from-confluent") == [b"0", b"1", b"2"]


def test_transactions_work_on_the_one_node(broker: Broker) -> None:
    make_topic(broker, "in-transaction")
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "test", "log_level": 0})
    producer.init_transactions(30)
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce("in-transaction", value)
        producer.flush()
        end(30)
    assert read(broker, "in-transaction") == [b"committed"]


def test_a_record_for_a_misspelt_topic_is_refused_and_makes_no_topic(broker: Broker) -> None:
    refused = list[str]()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 3000, "log_level": 0})
    producer.produce("misspelt", b"lost", on_delivery=lambda error, _message: refused.append(error and error.name()))
    producer.flush(30)
    assert refused in (["_UNKNOWN_TOPIC"], ["_MSG_TIMED_OUT"])  # whichever the client concludes first
    assert "misspelt" not in producer.list_topics(timeout=10).topics


def test_both_listeners_are_on_loopback_only(broker: Broker) -> None:
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in descendants(psutil.Process())
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("setting", ["retention.ms", "retention.bytes"])
def test_records_are_kept_for_ever(broker: Broker, setting: str) -> None:
    make_topic(broker, f"kept.{setting}")
    topic = ConfigResource(ConfigResource.Type.TOPIC, f"kept.{setting}")
    client = AdminClient({"bootstrap.servers": broker.bootstrap})
    (asked,) = client.describe_configs([topic]).values()
    assert asked.result(30)[setting].value == "-1"


def test_the_log_goes_to_its_file_and_is_quiet(broker: Broker) -> None:
    lines = (broker.folder / "broker.log").read_text().splitlines()
    assert len(lines) < 20
    assert any("Performing controller activation" in line for line in lines)


def test_the_running_broker_of_a_folder_is_found(broker: Broker, tmp_path: Path) -> None:
    assert running(broker.folder) == broker.bootstrap
    assert running(tmp_path) is None


def test_a_second_start_in_the_same_folder_is_refused_with_its_owner(broker: Broker) -> None:
    with pytest.raises(Busy, match=f"already run by process {os.getpid()}"):
        Broker.start(broker.folder)
    assert broker.alive()


def test_an_asked_port_that_is_taken_is_named(broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(ServiceMissing, match=f"port {broker.port} of 127.0.0.1 is in use") as refused:
        Broker.start(tmp_path, port=broker.port)
    assert "choose another port" in refused.value.next
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_another_broker_that_takes_the_port_meanwhile_is_not_mistaken_for_ours(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([True])
    monkeypatch.setattr("dovetail.shared.broker.is_free", lambda _port: next(looks, False))  # free at the first look
    with pytest.raises(ServiceMissing, match=f"port {broker.port} of 127.0.0.1 is in use"):
        Broker.start(tmp_path, port=broker.port)


@pytest.mark.long
def test_another_port_is_taken_when_the_usual_one_is_and_the_asked_one_when_free(tmp_path: Path) -> None:
    port = free_port()
    with Broker.start(tmp_path / "asked", port=port) as asked:
        assert asked.bootstrap == f"127.0.0.1:{port}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dovetail.shared.broker.USUAL_PORT", port)
            with Broker.start(tmp_path / "any") as other:
                assert other.port != port


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ServiceMissing, match="cannot be written"):
        Broker.start(tmp_path / "file" / "kafka")


@pytest.mark.long
def test_a_broker_that_dies_at_once_shows_its_last_words(tmp_path: Path) -> None:
    with Broker.start(tmp_path) as started:
        port = started.port
    (tmp_path / "data" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    with pytest.raises(ServiceMissing, match="ended at once") as failed:
        Broker.start(tmp_path, port=port)
    assert "node" in failed.value.why.lower()
    assert running(tmp_path) is None


@pytest.mark.long
def test_a_stopped_broker_keeps_its_records_and_starts_again(tmp_path: Path) -> None:
    with Broker.start(tmp_path) as first:
        make_topic(first, "kept")
        write(first, "kept", [b"one"])
    assert running(tmp_path) is None
    with Broker.start(tmp_path) as second:
        write(second, "kept", [b"two"])
        assert read(second, "kept") == [b"one", b"two"]


@pytest.mark.long
def test_a_broker_killed_outright_keeps_its_records(tmp_path: Path) -> None:
    first = Broker.start(tmp_path)
    make_topic(first, "kept")
    write(first, "kept", [b"one"])
    java_of(psutil.Process()).kill()
    eventually(lambda: not first.alive())
    first.stop()
    with Broker.start(tmp_path) as second:
        assert read(second, "kept") == [b"one"]


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_however_its_parent_ends_no_java_is_left(tmp_path: Path, end: signal.Signals) -> None:
    with parent_of_broker(tmp_path) as parent:
        assert running(tmp_path) is not None
        assert json.loads((tmp_path / "broker.json").read_text())["pid"] == parent.pid
        left = descendants(psutil.Process(parent.pid))
        assert any("java" in process.name() for process in left)
        parent.send_signal(end)
        _, alive = psutil.wait_procs(left, timeout=20)
    assert alive == []
    assert running(tmp_path) is None


@pytest.mark.long
def test_a_start_waits_for_the_broker_of_a_killed_parent_to_end(tmp_path: Path) -> None:
    with parent_of_broker(tmp_path) as parent:
        left = descendants(psutil.Process(parent.pid))
        parent.kill()
        parent.wait()
        with Broker.start(tmp_path) as again:
            assert running(tmp_path) == again.bootstrap
            assert [process for process in left if process.is_running() and "java" in process.name()] == []


@contextmanager
def parent_of_broker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the broker of a folder, once it is up; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline().startswith("127.0.0.1:")
            yield parent
        finally:
            parent.kill()


def make_topic(broker: Broker, name: str) -> None:
    client = AdminClient({"bootstrap.servers": broker.bootstrap})
    for made in client.create_topics([NewTopic(name, 1, 1)]).values():
        made.result(30)


def write(broker: Broker, topic: str, values: list[bytes]) -> None:
    outcomes = list[object]()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _message: outcomes.append(error))
    assert producer.flush(30) == 0
    assert outcomes == [None] * len(values)


def read(broker: Broker, topic: str) -> list[bytes]:
    """Every committed value of the topic's one partition."""
    partition = TopicPartition(topic, 0)
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, isolation_level="read_committed")
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end, found, until = consumer.end_offsets([partition])[partition], list[bytes](), time.monotonic() + 30
    while consumer.position(partition) < end and time.monotonic() < until:
        found += [record.value for batch in consumer.poll(500).values() for record in batch]
    consumer.close()
    return found


def descendants(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


def java_of(process: psutil.Process) -> psutil.Process:
    """The one java below this process that was started last."""
    found = [child for child in descendants(process) if "java" in child.name()]
    return max(found, key=lambda child: child.create_time())


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come true within 20 s"
        time.sleep(0.05)
