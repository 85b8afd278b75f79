"""A real Kafka that clients reach by TLS with a login alone, and where each user may do what it was granted."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dovetail.shared import broker, jars
from dovetail.shared.dialects import for_librdkafka
from dovetail.shared.errors import DovetailError
from dovetail.shared.java import find_java
from dovetail.shared.log import Log

ADMIN, USER, STRANGER = "admin", "dovetail", "stranger"
PASSWORDS = {ADMIN: "canary-admin-7f3a", USER: 'canary "dove\\tail"; 7f3a', STRANGER: "canary-stranger-7f3a"}
"""One has all that a login in Java's words has to escape."""
SETTINGS = """
process.roles={roles}
node.id={node}
listeners=CLIENTS://127.0.0.1:{port},MUTUAL://127.0.0.1:{mutual},INSIDE://127.0.0.1:{inside}{controls}
advertised.listeners=CLIENTS://localhost:{port},MUTUAL://localhost:{mutual},INSIDE://127.0.0.1:{inside}
listener.security.protocol.map=CLIENTS:SASL_SSL,MUTUAL:SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
inter.broker.listener.name=INSIDE
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.clients.plain.sasl.jaas.config={plain}
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.mutual.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:admin;User:CN=client
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={nodes}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
"""


@dataclass(frozen=True)
class Secure:
    """A cluster that runs: `ports` of its nodes, for a login, and `mutual` for a client's certificate."""

    folder: Path
    ports: list[int]
    mutual: int
    processes: list[subprocess.Popen[bytes]]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"localhost:{port}" for port in self.ports)

    def options(self, user: str = USER, mechanism: str = "SCRAM-SHA-512") -> Mapping[str, str]:
        """What a project has as its options, references resolved."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": PASSWORDS[user],
            "ssl.truststore.location": str(self.folder / "ca.pem"),
        }

    def log(self, user: str = USER, **others: str) -> Log:
        return Log(self.bootstrap, {**self.options(user), **{n.replace("_", "."): v for n, v in others.items()}})

    def grant(self, *rights: tuple[str, str, str], user: str = USER) -> None:
        """Allows a user what each (kind of resource, its name, operation) says."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **for_librdkafka(self.options(ADMIN))})
        bindings = [
            AclBinding(
                ResourceType[resource], name, ResourcePatternType.LITERAL, f"User:{user}", "*", AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for resource, name, operation in rights
        ]  # fmt: skip
        for made in admin.create_acls(bindings).values():
            made.result(30)


@contextmanager
def secure_broker(folder: Path, *, nodes: int = 1) -> Iterator[Secure]:
    """Starts one; ends it, as does the end of this process."""
    certificates(folder)
    controller, mutual = broker._any_free(), broker._any_free()
    users = " ".join(f"user_{u}={_quoted(p)}" for u, p in PASSWORDS.items())
    plain = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};".replace("\\", "\\\\")
    ports, cluster = [broker._any_free() for _ in range(nodes)], broker._new_cluster()
    with ExitStack() as ending:
        started = []
        for node, port in enumerate(ports, 1):
            at = folder / f"node{node}"
            at.mkdir()
            (at / "server.properties").write_text(
                SETTINGS.format(
                    roles="broker,controller" if node == 1 else "broker", node=node, port=port,
                    mutual=mutual if node == 1 else broker._any_free(), inside=broker._any_free(),
                    controls=f",CONTROLLER://127.0.0.1:{controller}" if node == 1 else "", controller=controller,
                    plain=plain, folder=folder, data=at / "data", nodes=nodes,
                )
            )  # fmt: skip
            started.append(_start(at, cluster, first=node == 1))
            ending.callback(broker._end, started[-1])
        secure = Secure(folder, ports, mutual, started)
        _wait(secure)
        yield secure


def _start(at: Path, cluster: str, *, first: bool) -> subprocess.Popen[bytes]:
    java = str(find_java().executable)
    program = [java, *broker._JVM, "-cp", os.pathsep.join(map(str, jars.ensure("broker")))]
    scram = [f"SCRAM-SHA-512=[name={u},password={p}]" for u, p in PASSWORDS.items()]
    how = ["--standalone", *(a for s in scram for a in ("--add-scram", s))] if first else ["--no-initial-controllers"]
    tool = [*program, "kafka.tools.StorageTool", "format", "-c", "server.properties", "-t", cluster, *how]
    done = subprocess.run(tool, cwd=at, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    command = [java, "-Xms256m", "-Xmx384m", *program[1:], "kafka.Kafka", "server.properties"]
    with (at / "lock").open("w") as lock:
        return broker._spawn(command, at, lock)


def _wait(secure: Secure) -> None:
    until = time.monotonic() + 300
    while True:
        try:
            there = _there(secure)
            if there == len(secure.ports):
                return
            why = f"{there} brokers"
        except DovetailError as error:
            why = str(error)
        said = broker._log(secure.folder / "node1").read_text()[-3000:]
        assert all(process.poll() is None for process in secure.processes), said
        assert time.monotonic() < until, why + said
        time.sleep(0.2)


def _there(secure: Secure) -> int:
    """How many nodes the cluster has; 0 until all listen. kafka-python leaves open what is refused, an error here."""
    if any(map(broker.is_free, secure.ports)):
        return 0
    admin = secure.log(ADMIN).admin()
    found = len(admin.describe_cluster()["brokers"])
    admin.close()
    return found


def certificates(folder: Path) -> None:
    """A throw-away authority `ca.pem`, one that nobody trusts `other-ca.pem`, and what the first signed."""
    ca, key = _made("ca", None)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "other-ca.pem").write_bytes(_made("other", None)[0].public_bytes(serialization.Encoding.PEM))
    for name in ("broker", "client"):
        certificate, own = _made(name, (ca, key))
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _text(own))


def _made(
    name: str, by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by[0].subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if by is not None:
        names = [x509.DNSName("localhost"), *([x509.IPAddress(IPv4Address("127.0.0.2"))] if name == "broker" else [])]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by[1] if by else key, hashes.SHA256()), key


def _text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
