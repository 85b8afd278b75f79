"""Which bootstrap servers take a connection, and why none of them lets a client in."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from dovetail.shared.dialects import (
    CA,
    KEY_PASSWORD,
    KEYSTORE,
    MECHANISM,
    PASSWORD,
    PROTOCOL,
    USER,
    WHERE,
    for_librdkafka,
)
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.secrets import redacted

PATIENCE_S = 2
ASKED_S = 5


def listening(bootstrap: str) -> list[str]:
    """The servers that take a connection; all where none does, or there is but one.

    kafka-python takes one by chance and gives it all its time: a machine that is off would use it up.
    """
    servers = [server.strip() for server in bootstrap.split(",")]
    return servers if len(servers) == 1 else answering(bootstrap) or servers


def answering(bootstrap: str) -> list[str]:
    """The servers that take a connection."""
    servers = [server.strip() for server in bootstrap.split(",")]
    with ThreadPoolExecutor(len(servers)) as pool:
        return [server for server, takes in zip(servers, pool.map(_takes, servers), strict=True) if takes]


def out_of_reach(bootstrap: str, options: Mapping[str, str], error: Exception) -> ServiceMissing:
    """The error to raise where a client was not let in, which `error` alone does not tell: kafka-python tries until
    its time is over, whatever it is told. librdkafka says what it is told.
    """
    said = _said(bootstrap, options)
    for why, name in said.items():
        if _decides(name, why):
            what, then = _refusal(name, why)
            return ServiceMissing(f"Kafka at {bootstrap} {what}", where=WHERE, why=why, next=then)
    what, why = f"no Kafka broker answers at {bootstrap}", "; ".join(said) or str(error)
    if answering(bootstrap):  # as a broker does that is hung, and one that waits for the first words of TLS
        why = f"{why}: connections are taken, and nothing is said"
        then = f"set {PROTOCOL} to what that listener speaks, if the broker is well"
        return ServiceMissing(what, where=WHERE, why=why, next=then)
    return ServiceMissing(
        what, where="kafka.bootstrap in dovetail.toml", why=why,
        next="start it (dovetail kafka runs one), or correct kafka.bootstrap",
    )  # fmt: skip


def _refusal(name: str, why: str) -> tuple[str, str]:
    if name == "_AUTHENTICATION":
        return "refuses the login", f"correct {USER}, what {PASSWORD} refers to, and {MECHANISM}"
    if "ssl.key" in why:
        return "was not asked: our key cannot be read", f"set {KEY_PASSWORD} to a reference to its password"
    if "does not match" in why or "mismatch" in why:
        return "has a certificate for another name", "call it in kafka.bootstrap as its certificate does"
    if "verify failed" in why:
        return "has a certificate that is not trusted", f"set {CA} to a PEM file of who signed it"
    if "certificate" in why:
        return "refuses our certificate", f"set {KEYSTORE} to a PEM file with a key and a certificate that it trusts"
    return "does not understand us", f"set {PROTOCOL} to what that listener speaks, or name another port"


def _decides(name: str, why: str) -> bool:
    """Whether this is how a server answered, and not that none did."""
    return name in ("_AUTHENTICATION", "_SSL") or PROTOCOL in why or "SSL alert" in why


def _said(bootstrap: str, options: Mapping[str, str]) -> dict[str, str]:
    """The sentences that librdkafka has for what the servers told it, with the name of their kind."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    told = dict[str, str]()

    def tell(error: KafkaError) -> None:
        if error.name() != "_ALL_BROKERS_DOWN":
            told[redacted(re.sub(r" \(after \d+ms.*", "", error.str()))] = error.name()

    own: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": tell}
    known = {n: v for n, v in for_librdkafka(options).items() if n.startswith(("security.", "sasl.", "ssl."))}
    until = time.monotonic() + ASKED_S
    try:
        client = AdminClient({**known, **own})
    except KafkaException as error:  # of a key with another password, or none
        return {redacted(error.args[0].str()): "_SSL"}
    while time.monotonic() < until and not any(_decides(name, why) for why, name in told.items()):
        with suppress(KafkaException):
            client.list_topics(timeout=0.5)
            break
        client.poll(0)
    return told


def _takes(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()
    except OSError:
        return False
    return True
