"""One set of Kafka options in the words of the three clients that are given it: Spark's, kafka-python's, librdkafka's.

They are written as Kafka's documentation has them, or librdkafka's. Those of TLS and SASL are read here into what they
mean, and said again to each client: none of the three knows the words of another, and leaves out what it does not
know, or refuses it. All others are passed on as they are, to whoever knows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dovetail.shared.errors import SettingsError, unknown
from dovetail.shared.secrets import know

WHERE = "kafka.options in dovetail.toml"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
PROTOCOL, MECHANISM, JAAS = "security.protocol", "sasl.mechanism", "sasl.jaas.config"
USER, PASSWORD = "sasl.username", "sasl.password"
CA, KEYSTORE, KEY_PASSWORD = "ssl.truststore.location", "ssl.keystore.location", "ssl.key.password"
HOSTNAME = "ssl.endpoint.identification.algorithm"
TYPES = ("ssl.truststore.type", "ssl.keystore.type")
ALSO = {"sasl.mechanisms": MECHANISM, "ssl.ca.location": CA}
"""Other names of some, which librdkafka has."""
KNOWN = (PROTOCOL, MECHANISM, JAAS, USER, PASSWORD, CA, KEYSTORE, KEY_PASSWORD, HOSTNAME, *TYPES, *ALSO)
FORMS: Mapping[str, tuple[str, ...]] = {
    PROTOCOL: PROTOCOLS,
    MECHANISM: tuple(MECHANISMS),
    HOSTNAME: ("https", "none", ""),
    **dict.fromkeys(TYPES, ("PEM",)),
}


def wrong(name: str, value: str) -> str | None:
    """Why an option of TLS or SASL may not be set so, or None where it may; `value` may be a reference.

    >>> wrong("ssl.truststore.type", "JKS")
    "is 'JKS': it has to be PEM, which all clients read"
    """
    if not name.lower().startswith(("security.", "sasl.", "ssl.")):
        return None
    if name not in KNOWN:
        return f"may not be set: {unknown('option', name, KNOWN)}"
    allowed = FORMS.get(ALSO.get(name, name))
    if allowed and value not in allowed and not value.startswith("env:"):
        why = (
            "PEM, which all clients read" if name in TYPES else f"one of {', '.join(a or '(nothing)' for a in allowed)}"
        )
        return f"is {value!r}: it has to be {why}"
    if name.endswith(".location") and value.startswith("file:"):
        return "is a file in any case: write its PATH alone"
    return None


def located(options: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The options with each path made absolute, from `folder`: clients take it from where they happen to run."""
    return {n: str(folder / Path(v).expanduser()) if n.endswith(".location") else v for n, v in options.items()}


@dataclass(frozen=True, repr=False)
class Access:
    """What options say of TLS and SASL, and `others`. Holds secrets."""

    protocol: str
    mechanism: str
    user: str
    password: str
    ca: str
    keystore: str
    key_password: str
    by_name: bool
    """Whether the broker's certificate has to be for the name it is called by."""
    others: Mapping[str, str]

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("SASL")


def access(options: Mapping[str, str]) -> Access:
    """Reads options whose references are resolved.

    Raises:
        SettingsError: they do not fit together, or a file of certificates or keys is none.
    """
    for name, value in options.items():
        if reason := wrong(name, value):
            raise SettingsError(f"{name} {reason}", where=WHERE)
    of = {ALSO.get(name, name): value for name, value in options.items()}
    user, password = of.get(USER, ""), of.get(PASSWORD, "")
    if JAAS in of:
        user, password = (_in_jaas(of[JAAS], name) for name in ("username", "password"))
    found = Access(
        protocol=of.get(PROTOCOL, "PLAINTEXT"),
        mechanism=of.get(MECHANISM, ""),
        user=user,
        password=know(password),
        ca=of.get(CA, ""),
        keystore=of.get(KEYSTORE, ""),
        key_password=of.get(KEY_PASSWORD, ""),
        by_name=of.get(HOSTNAME, "https") == "https",
        others={name: value for name, value in of.items() if name not in KNOWN},
    )
    _fits(found, of)
    if found.tls:
        if found.ca:
            _pem(CA, found.ca, "CERTIFICATE")
        if found.keystore:
            _pem(KEYSTORE, found.keystore, "CERTIFICATE")
            _pem(KEYSTORE, found.keystore, "PRIVATE KEY")
    return found


def for_spark(options: Mapping[str, str]) -> dict[str, str]:
    """In Kafka's own words, for a client in Java. Certificates go along as text: its executors may lack the files."""
    of = access(options)
    said = {**of.others, PROTOCOL: of.protocol}
    if of.sasl:
        user, password = _quoted(of.user), know(_quoted(of.password))
        login = f"{MECHANISMS[of.mechanism]} required username={user} password={password};"
        said |= {MECHANISM: of.mechanism, JAAS: login}
    if of.tls:
        said[HOSTNAME] = "https" if of.by_name else ""
    if of.tls and of.ca:
        said |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _pem(CA, of.ca, "CERTIFICATE")}
    if of.tls and of.keystore:
        said["ssl.keystore.type"] = "PEM"
        said["ssl.keystore.certificate.chain"] = _pem(KEYSTORE, of.keystore, "CERTIFICATE")
        said["ssl.keystore.key"] = know(_pem(KEYSTORE, of.keystore, "PRIVATE KEY"))
        said |= {KEY_PASSWORD: of.key_password} if of.key_password else {}
    return said


def for_python(options: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """As arguments of a client of kafka-python, whose defaults are `known`."""
    of = access(options)
    said: dict[str, Any] = {"security_protocol": of.protocol}
    for name, value in of.others.items():
        argument = name.replace(".", "_")
        if argument in known:
            said[argument] = _as(known[argument], name, value)
    if of.sasl:
        said |= {
            "sasl_mechanism": of.mechanism,
            "sasl_plain_username": of.user,
            "sasl_plain_password": of.password,
        }
    if of.tls:
        said["ssl_check_hostname"] = of.by_name
        said["ssl_cafile"] = of.ca or None
    if of.tls and of.keystore:
        said |= {"ssl_certfile": of.keystore, "ssl_keyfile": of.keystore, "ssl_password": of.key_password or None}
    return said


def for_librdkafka(options: Mapping[str, str]) -> dict[str, str]:
    of = access(options)
    said = {**of.others, PROTOCOL: of.protocol}
    if of.sasl:
        said |= {MECHANISM: of.mechanism, USER: of.user, PASSWORD: of.password}
    if of.tls:
        said[HOSTNAME] = "https" if of.by_name else "none"
    if of.tls and of.ca:
        said["ssl.ca.location"] = of.ca
    if of.tls and of.keystore:
        said |= {"ssl.certificate.location": of.keystore, "ssl.key.location": of.keystore}
        said |= {KEY_PASSWORD: of.key_password} if of.key_password else {}
    return said


def _fits(of: Access, given: Mapping[str, str]) -> None:
    """Raises SettingsError for what the protocol leaves unused, for then another connection was meant than there would
    be, and for a login that is not whole.
    """
    for prefix, used in (("sasl.", of.sasl), ("ssl.", of.tls)):
        unused = sorted(name for name in given if name.startswith(prefix))
        if unused and not used:
            fit = ", ".join(p for p in PROTOCOLS if prefix.removesuffix(".").upper() in p)
            raise SettingsError(
                f"{', '.join(unused)} would be ignored: {PROTOCOL} is {of.protocol}",
                where=WHERE,
                next=f"set {PROTOCOL} to one of {fit}",
            )
    if of.sasl and not (of.mechanism and of.user and of.password):
        lacks = [n for n, v in ((MECHANISM, of.mechanism), (USER, of.user), (PASSWORD, of.password)) if not v]
        raise SettingsError(
            f"{PROTOCOL} = {of.protocol} needs {' and '.join(lacks)}",
            where=WHERE,
            next=f'set {USER}, and {PASSWORD} = "env:NAME"; or {JAAS} = "env:NAME" with both',
        )


def _in_jaas(text: str, name: Literal["username", "password"]) -> str:
    found = re.search(rf'\b{name}\s*=\s*(?:"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|([^\s;"\']+))', text)
    if found is None:
        raise SettingsError(f"{JAAS} has no {name}", where=WHERE, next='as in: … required username="…" password="…";')
    double, single, bare = found.groups()
    return re.sub(r"\\(.)", r"\1", double) if double is not None else single if single is not None else bare


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pem(name: str, path: str, what: Literal["CERTIFICATE", "PRIVATE KEY"]) -> str:
    """The certificates, or the key, of a PEM file."""
    where = f"{name}, {WHERE}"
    try:
        text = Path(path).read_text("ascii")
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read",
            where=where,
            why=error.strerror or "",
            next="name a PEM file, from dovetail.toml on",
        ) from None
    except ValueError:
        raise SettingsError(
            f"{path} is not PEM, which is text", where=where,
            next="of a Java keystore keytool -exportcert -rfc writes a certificate as PEM",
        ) from None  # fmt: skip
    found = re.findall(rf"-----BEGIN ((?:ENCRYPTED )?{what})-----\n(.*?)-----END \1-----", text, re.DOTALL)
    if not found:
        raise SettingsError(
            f"{path} has no part that begins with -----BEGIN {what}-----", where=where,
            next="openssl pkcs8 -topk8 writes a key of an older form as PKCS#8" if what == "PRIVATE KEY" else "",
        )  # fmt: skip
    return "".join(f"-----BEGIN {label}-----\n{body}-----END {label}-----\n" for label, body in found)


def _as(default: Any, name: str, value: str) -> Any:
    """An option's text as the kind of value that kafka-python takes."""
    if isinstance(default, bool):
        return value == "true"
    if not isinstance(default, int | float):
        return value
    try:
        return type(default)(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}: it has to be a number", where=WHERE) from None
