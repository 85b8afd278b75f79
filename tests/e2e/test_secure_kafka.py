"""A real cluster that asks for TLS, a login and rights: every part of Dovetail gets through, and none shows how."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from e2e_log import committed
from e2e_system import START_S, free_port
from secure_broker import ADMIN, PASSWORDS, STRANGER, USER, Secure, secure_broker

from dovetail.cli.stack import Stack
from dovetail.shared import doctor, settings
from dovetail.shared.dialects import for_spark
from dovetail.shared.errors import DovetailError, ServiceMissing
from dovetail.shared.log import Log, TopicMissing

pytestmark = [
    pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1500),
    # kafka-python leaves the sockets of a client that cannot be made to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]  # fmt: skip
TOPIC, PUSHED, GUARDED = "tls.lines", "tls.pushed", "tls.guarded"
VIEWS = f"""
import dovetail as dv

lines = dv.source("lines", topic="{TOPIC}", schema="id bigint, city string, at timestamp", event_time="at")
totals = dv.view("totals", source=lines, keys=["city"], measures={{"rows": dv.count()}})
arriving = dv.feed.files("arriving", source=lines, folder="arriving", format="jsonl", key="id", quiet="0s")
sent_on = dv.push(totals, to=dv.topic("{PUSHED}"), by=["city"], every="1s")
"""
PAGE = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text("utf-8")
CANARY = "canary"


def line(n: int) -> str:
    return orjson.dumps({"id": n, "city": "Paris", "at": "2026-10-01T09:20:00Z"}).decode()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """So that what is left is warned of here, where it is ignored, and not in the test of another file."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """Two brokers; the user has the rights that docs/kafka.md names."""
    with secure_broker(tmp_path_factory.mktemp("secure"), nodes=2) as started:
        admin = started.log(ADMIN)
        for topic in (TOPIC, PUSHED, GUARDED):
            admin.create(topic, partitions=2)
        rights = ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS")
        started.grant(*(("TOPIC", TOPIC, each) for each in rights))
        started.grant(("TOPIC", PUSHED, "WRITE"), ("TOPIC", PUSHED, "DESCRIBE"))
        feed = f"{TOPIC}.feed.arriving"
        started.grant(*(("TOPIC", feed, each) for each in ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS", "CREATE")))
        started.grant(*(("TRANSACTIONAL_ID", feed, each) for each in ("WRITE", "DESCRIBE")))
        started.grant(("TOPIC", GUARDED, "DESCRIBE"))
        yield started


def made(folder: Path, secure: Secure) -> Path:
    """A project with the first example of docs/kafka.md, but for where the brokers are: the first one is off."""
    example = PAGE.split("```toml\n")[1].partition("```")[0]
    there = re.sub('bootstrap = ".*"', f'bootstrap = "localhost:1,{secure.bootstrap}"', example)
    serving = f'[serving]\nport = {free_port()}\n[speed]\ntrigger = "1s"\n[archive]\ntrigger = "2s"\n'
    (folder / "dovetail.toml").write_text(f'views = ["views.py"]\n{there}\n{serving}')
    (folder / "views.py").write_text(VIEWS)
    (folder / "arriving").mkdir()
    shutil.copy(secure.folder / "ca.pem", folder)
    return folder


def ran(folder: Path, *command: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", *command], cwd=folder, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr
    return done.stdout


def test_every_part_gets_through_and_shows_no_password(
    secure: Secure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORDS[USER])
    folder = made(tmp_path, secure)
    assert doctor.of_kafka(settings.load(folder))[0].level == "ok"
    ran(folder, "send", "lines", line(0))
    (folder / "more.jsonl").write_text("\n".join(map(line, range(1, 6))))
    ran(folder, "load", "lines", "more.jsonl")
    (folder / "arriving" / "a.jsonl").write_text("\n".join(map(line, range(6, 10))))
    ran(folder, "feed", "arriving", "--once")
    producer = secure.log().producer()
    producer.produce(TOPIC, line(10), key=b"\x00k", headers=[("trace", b"\xff1"), ("trace", None)])
    assert producer.flush(30) == 0

    with closing(Stack(folder, folder / "logs")) as stack:
        for layer in ("archive", "speed"):
            stack.start(layer, layer, "lines", "--json")
        for layer in ("archive", "speed"):
            stack.wait(layer, stack.children[layer].ready.is_set, seconds=START_S)
        stack.start("serve", "serve")
        url = f"http://127.0.0.1:{settings.load(folder).serving.port}"
        stack.wait("all of it in answers", lambda: rows(url) == 11, seconds=START_S)
        stack.wait("no lag", lambda: behind(url) == 0, seconds=START_S)
        pushed(stack, secure)
        stack.wait("the archive", lambda: archived(folder) == 11, seconds=START_S)
        ran(folder, "batch")
        ran(folder, "check", "--against-topic")
        ran(folder, "prove")
        ran(folder, "reprocess", "totals", "--replay", "--from-scratch")
        stack.wait("a new run", lambda: rows(url) == 11, seconds=START_S)
        [state] = orjson.loads(ran(folder, "status", "--json"))["sources"]
        assert state["position"] == state["archived"] == state["log end"]
        assert set(state["log end"]) == {"0", "1"}
        told = [httpx.get(url + path).text for path in ("/metrics", "/ready", "/v1/views")]
        assert 'partition_behind_records{partition="1",view="totals"} 0.0' in told[0]
        assert shown(folder, told) == []
    [kept] = [row for row in master(folder).to_pylist() if row["_key"] == b"\x00k"]
    assert kept["_headers"] == [{"key": "trace", "value": b"\xff1"}, {"key": "trace", "value": None}]
    assert shown(folder, []) == []


def rows(url: str) -> int | None:
    try:
        answer = httpx.get(f"{url}/v1/views/totals/query", timeout=30)
    except httpx.TransportError:
        return None
    return sum(r["rows"] for r in answer.json()["rows"]) if answer.status_code == 200 else None


def behind(url: str) -> Any:
    return httpx.get(f"{url}/v1/views/totals/query", timeout=30).json()["receipt"]["behind"]["records"]


def master(folder: Path) -> pa.Table:
    return DeltaTable(str(folder / "data/sources/lines/master")).to_pyarrow_table()


def archived(folder: Path) -> int:
    try:
        return len(master(folder))
    except TableNotFoundError:
        return 0


def pushed(stack: Stack, secure: Secure) -> None:
    stack.start("push", "push")
    stack.wait("a push", lambda: bool(committed(secure.log(ADMIN), PUSHED)), seconds=START_S)
    stack.children.pop("push").stop()


def shown(folder: Path, told: list[str]) -> list[str]:
    """Where a password can be read: in what was told, in any file of the project, in how a process was called."""
    found = [text[:200] for text in told if CANARY in text]
    found += [str(file) for file in folder.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]
    running = (p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE)
    called = (" ".join(process.cmdline()) for process in running)
    return found + [words for words in called if CANARY in words]


def test_no_plan_of_spark_shows_the_login(secure: Secure, spark: Any) -> None:
    log = secure.log()
    extent = log.extent(TOPIC)
    given = for_spark({**log.options, "ssl.keystore.location": str(secure.folder / "client.pem")})
    key = given["ssl.keystore.key"].splitlines()[1]
    options = log.spark_options(TOPIC, extent.begin, max_records=10)
    options |= {"kafka.ssl.keystore.key": given["ssl.keystore.key"]}
    streamed = spark.readStream.format("kafka").options(**options).load()
    plan = streamed._jdf.queryExecution().toString()
    assert "jaas.config" in plan, "the plan shows its options: else this proves nothing"
    assert CANARY not in plan
    assert key not in plan


def test_a_client_with_a_certificate_of_its_own_gets_through(secure: Secure, spark: Any) -> None:
    options = {
        "security.protocol": "SSL",
        "ssl.truststore.location": str(secure.folder / "ca.pem"),
        "ssl.keystore.location": str(secure.folder / "client.pem"),
    }
    log = Log(f"localhost:{secure.mutual}", options)
    log.create("tls.mutual", partitions=1)
    producer = log.producer()
    producer.produce("tls.mutual", b"x")
    assert producer.flush(30) == 0
    extent = log.extent("tls.mutual")
    read = spark.read.format("kafka").options(**log.spark_span_options("tls.mutual", extent.begin, extent.end)).load()
    assert [bytes(row.value) for row in read.collect()] == [b"x"]
    with pytest.raises(ServiceMissing, match="refuses our certificate") as refused:
        Log(log.bootstrap, {n: v for n, v in options.items() if "keystore" not in n}).admin()
    assert "ssl.keystore.location" in refused.value.next


@pytest.mark.parametrize(
    ("changed", "what", "then"),
    [
        ({"sasl_password": "canary-wrong-7f3a"}, "refuses the login", "what sasl.password refers to"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "refuses the login", "sasl.mechanism"),
        ({"ssl_truststore_location": "other-ca.pem"}, "a certificate that is not trusted", "ssl.truststore.location"),
        ({"security_protocol": "PLAINTEXT"}, "no Kafka broker answers", "set security.protocol"),
    ],
    ids=["password", "mechanism", "authority", "no TLS"],
)
def test_who_is_not_let_in_is_told_why_within_30_seconds(
    secure: Secure, changed: dict[str, str], what: str, then: str
) -> None:
    options = {**secure.options(), **{name.replace("_", "."): value for name, value in changed.items()}}
    if "ssl_truststore_location" in changed:
        options["ssl.truststore.location"] = str(secure.folder / "other-ca.pem")
    if "security_protocol" in changed:
        options = {"security.protocol": "PLAINTEXT"}
    began = time.monotonic()
    with pytest.raises(ServiceMissing, match=what) as refused:
        Log(secure.bootstrap, options).extent(TOPIC)
    assert time.monotonic() - began < 30
    assert secure.bootstrap in refused.value.what
    assert refused.value.where == "kafka.options in dovetail.toml"
    assert refused.value.why
    assert then in refused.value.next
    assert CANARY not in str(refused.value)


def test_a_topic_that_one_has_no_right_to_is_not_taken_for_one_that_is_missing(secure: Secure) -> None:
    with pytest.raises(ServiceMissing, match=f"no right to topic {TOPIC}") as refused:
        secure.log(STRANGER).extent(TOPIC)
    assert not isinstance(refused.value, TopicMissing)
    with pytest.raises(TopicMissing):
        secure.log(ADMIN).extent("tls.nowhere")


def test_a_layer_that_may_see_a_topic_and_not_read_it_says_so(secure: Secure, spark: Any, tmp_path: Path) -> None:
    from dovetail.shared.stream import follow

    producer = secure.log(ADMIN).producer()
    producer.produce(GUARDED, b"x")
    assert producer.flush(30) == 0
    log = secure.log()
    began = time.monotonic()
    with pytest.raises(DovetailError, match="not at this topic") as refused:
        follow(
            spark, log, GUARDED, log.extent(GUARDED).begin, lambda records, _span: print(records.count()),
            scratch=tmp_path / "scratch", trigger="1 second", max_records=10,
        )  # fmt: skip
    assert time.monotonic() - began < 60
    assert "TopicAuthorizationException" in refused.value.why
    assert CANARY not in str(refused.value)


def test_a_cluster_goes_on_while_one_broker_is_away(secure: Secure) -> None:
    """The last test: the second node stays away."""
    secure.processes[1].stdin.close()  # type: ignore[union-attr]
    secure.processes[1].wait(60)
    there = Log(",".join(reversed(secure.bootstrap.split(","))), secure.options(ADMIN))
    assert there.extent(TOPIC).end == secure.log(ADMIN).extent(TOPIC).end
