"""Which bootstrap servers take a connection, and why none of them lets a client in."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dovetail.shared.dialects import CA, KEYSTORE, MECHANISM, PASSWORD, PROTOCOL, USER, WHERE, for_librdkafka
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
    for name, why in said:
        if name in ("_AUTHENTICATION", "_SSL") or PROTOCOL in why:
            what, then = _refusal(name, why)
            return ServiceMissing(f"Kafka at {bootstrap} {what}", where=WHERE, why=why, next=then)
    return ServiceMissing(
        f"no Kafka broker answers at {bootstrap}",
        where="kafka.bootstrap in dovetail.toml",
        why="; ".join(why for _, why in said) or str(error),
        next="start it (dovetail kafka runs one), or correct kafka.bootstrap",
    )


def _refusal(name: str, why: str) -> tuple[str, str]:
    if name == "_AUTHENTICATION":
        return "refuses the login", f"correct {USER}, what {PASSWORD} refers to, and {MECHANISM}"
    if "does not match" in why or "mismatch" in why:
        return "has a certificate for another name", "call it in kafka.bootstrap as its certificate does"
    if "verify failed" in why:
        return "has a certificate that is not trusted", f"set {CA} to a PEM file of who signed it"
    if "certificate" in why:
        return "refuses our certificate", f"set {KEYSTORE} to a PEM file with a key and a certificate that it trusts"
    return "does not understand us", f"set {PROTOCOL} to what that listener speaks, or name another port"


def _said(bootstrap: str, options: Mapping[str, str]) -> list[tuple[str, str]]:
    """What librdkafka is told by the servers: a name of a kind, and a sentence, each once."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    told = dict[str, str]()

    def tell(error: KafkaError) -> None:
        told.setdefault(redacted(re.sub(r" \(after \d+ms.*", "", error.str())), error.name())

    own: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": tell}
    known = {n: v for n, v in for_librdkafka(options).items() if n.startswith(("security.", "sasl.", "ssl."))}
    try:
        client = AdminClient({**known, **own})
        client.list_topics(timeout=ASKED_S)
    except KafkaException as error:
        if not told:
            tell(error.args[0])
    return [(name, sentence) for sentence, name in told.items() if name != "_ALL_BROKERS_DOWN"]


def _takes(server: str) -> bool:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()
    except OSError:
        return False
    return True
