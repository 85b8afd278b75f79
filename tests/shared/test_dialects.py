"""One set of options in the words of three clients: the same meaning, and nothing that one of them would leave out."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from secure_broker import certificates

from dovetail.shared.dialects import access, for_librdkafka, for_python, for_spark
from dovetail.shared.errors import SettingsError
from dovetail.shared.log import Log
from dovetail.shared.reach import listening, out_of_reach
from dovetail.shared.secrets import redacted
from dovetail.shared.settings import load

PASSWORD = 'canary "a\\b"; 7f3a'
LOGIN = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": PASSWORD}
PYTHON: dict[str, Any] = {"client_id": "", "request_timeout_ms": 30000, "allow_auto": True}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pem")
    certificates(folder)
    return folder


def test_a_login_is_said_to_each_client_in_its_own_words() -> None:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    jaas = rf'{module} required username="me" password="canary \"a\\b\"; 7f3a";'
    spark, python, librdkafka = for_spark(LOGIN), for_python(LOGIN, PYTHON), for_librdkafka(LOGIN)
    assert (spark["sasl.jaas.config"], spark["sasl.mechanism"]) == (jaas, "PLAIN")
    assert not {"sasl.username", "sasl.password"} & {*spark}
    assert (python["sasl_plain_username"], python["sasl_plain_password"]) == ("me", PASSWORD)
    assert (librdkafka["sasl.username"], librdkafka["sasl.password"]) == ("me", PASSWORD)
    assert PASSWORD not in redacted(f"{spark} {python} {librdkafka}")
    assert "canary" not in repr(access(LOGIN)) + redacted(str(spark))


@pytest.mark.parametrize(
    "text",
    [
        for_spark(LOGIN)["sasl.jaas.config"],
        f"x.PlainLoginModule required\n  password='{PASSWORD}' username=me;",
    ],
    ids=["in double quotes", "in single ones, or none"],
)
def test_a_login_in_the_words_of_java_is_read(text: str) -> None:
    given = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.jaas.config": text}
    assert (access(given).user, access(given).password) == ("me", PASSWORD)
    with pytest.raises(SettingsError, match=r"sasl\.jaas\.config has no password") as refused:
        access({**given, "sasl.jaas.config": 'x required username="canary";'})
    assert "canary" not in str(refused.value)


def test_certificates_go_to_spark_as_text_and_to_the_others_as_files(pem: Path) -> None:
    given = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(pem / "ca.pem"),
        "ssl.keystore.location": str(pem / "client.pem"),
        "ssl.endpoint.identification.algorithm": "none",
    }
    spark, python, librdkafka = for_spark(given), for_python(given, PYTHON), for_librdkafka(given)
    assert spark["ssl.truststore.certificates"] == (pem / "ca.pem").read_text()
    assert spark["ssl.keystore.certificate.chain"] + spark["ssl.keystore.key"] == (pem / "client.pem").read_text()
    assert "PRIVATE" not in spark["ssl.keystore.certificate.chain"]
    assert (spark["ssl.truststore.type"], spark["ssl.keystore.type"]) == ("PEM", "PEM")
    assert (python["ssl_cafile"], python["ssl_certfile"]) == (str(pem / "ca.pem"), str(pem / "client.pem"))
    assert librdkafka["ssl.ca.location"] == str(pem / "ca.pem")
    name = "ssl.endpoint.identification.algorithm"
    assert (spark[name], python["ssl_check_hostname"], librdkafka[name]) == ("", False, "none")
    assert (for_spark(LOGIN)[name], for_python(LOGIN, PYTHON)["ssl_check_hostname"]) == ("https", True)


def test_other_options_go_to_those_who_know_them_as_what_they_are() -> None:
    given = {"client.id": "me", "request.timeout.ms": "500", "allow.auto": "false", "max.poll.records": "5"}
    assert for_python(given, PYTHON) == {
        "security_protocol": "PLAINTEXT", "client_id": "me", "request_timeout_ms": 500, "allow_auto": False,
    }  # fmt: skip
    assert for_spark(given)["max.poll.records"] == "5"
    assert Log("127.0.0.1:1", given).producer() is not None, "librdkafka refuses an option of Java's consumer"
    with pytest.raises(SettingsError, match="has to be a number"):
        for_python({"request.timeout.ms": "soon"}, PYTHON)
    with pytest.raises(SettingsError, match="Kafka's options are refused"):
        Log("127.0.0.1:1", {"socket.timeout.ms": "soon"}).producer()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ssl.truststore.type": "JKS"}, "'JKS': it has to be PEM, which all clients read"),
        ({"sasl.mechanism": "OAUTHBEARER"}, "it has to be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"security.protocol": "TLS"}, "it has to be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"sasl.user": "me"}, r"unknown option 'sasl\.user': did you mean 'sasl\.username'\?"),
        ({"SSL.Truststore.Location": "x"}, "unknown option 'SSL.Truststore.Location': did you mean"),
        ({"ssl.truststore.location": "file:ca.pem"}, "is a file in any case: write its PATH alone"),
    ],
)
def test_what_one_client_would_not_understand_is_refused_as_it_is_read(
    tmp_path: Path, options: dict[str, str], says: str
) -> None:
    pairs = ", ".join(f'"{name}" = "{value}"' for name, value in options.items())
    (tmp_path / "dovetail.toml").write_text(f"[kafka]\noptions = {{{pairs}}}\n")
    with pytest.raises(SettingsError, match=says):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sasl.username": "me"}, "sasl.username would be ignored: security.protocol is PLAINTEXT"),
        ({"security.protocol": "SASL_PLAINTEXT", "ssl.ca.location": "x"}, "ssl.truststore.location would be ignored"),
        ({"security.protocol": "SASL_SSL", "sasl.username": "me"}, "needs sasl.mechanism and sasl.password"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/gone.pem"}, "/gone.pem cannot be read"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "sasl.mechanism is 'GSSAPI'"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, str], says: str) -> None:
    for said in (for_spark, for_librdkafka, lambda given: for_python(given, PYTHON)):
        with pytest.raises(SettingsError, match=says):
            said(options)


def test_a_file_that_holds_something_else_is_named(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "store.jks").write_bytes(b"\xfe\xed\xfe\xed")
    (tmp_path / "old.pem").write_text((pem / "client.pem").read_text().replace(" PRIVATE", " EC PRIVATE"))
    for name, file, says in (
        (
            "ssl.truststore.location",
            tmp_path / "store.jks",
            "(?s)is not PEM, which is text.*keytool -exportcert",
        ),
        ("ssl.keystore.location", pem / "ca.pem", "ca.pem has no part that begins with -----BEGIN PRIVATE KEY-----"),
        ("ssl.keystore.location", tmp_path / "old.pem", "openssl pkcs8 -topk8"),
    ):
        with pytest.raises(SettingsError, match=says):
            access({"security.protocol": "SSL", name: str(file)})


def test_the_examples_of_the_page_are_a_project(tmp_path: Path, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    page = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text("utf-8")
    examples = [block.partition("```")[0] for block in page.split("```toml\n")[1:]]
    assert len(examples) == 2
    for name in ("ca.pem", "client.pem"):
        (tmp_path / name).write_bytes((pem / name).read_bytes())
    for example in examples:
        (tmp_path / "dovetail.toml").write_text(example)
        found = access(load(tmp_path).kafka.resolved_options())
        assert found.tls
        assert found.ca == str(tmp_path / "ca.pem")
        assert found.sasl == (found.password == PASSWORD)


def test_of_several_servers_those_that_are_off_are_left_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as up:
        port = up.getsockname()[1]
        assert listening(f"127.0.0.1:1, 127.0.0.1:{port}") == [f"127.0.0.1:{port}"]
    assert listening("127.0.0.1:1,127.0.0.1:2") == ["127.0.0.1:1", "127.0.0.1:2"]
    assert listening("127.0.0.1:1") == ["127.0.0.1:1"]


def test_a_key_that_cannot_be_opened_is_told_without_asking_anybody(pem: Path) -> None:
    held, password = pem / "held.pem", "canary-7f3a"
    parts = (pem / "client.pem").read_bytes()
    key = serialization.load_pem_private_key(parts[parts.index(b"-----BEGIN PRIVATE") :], None)
    kept = serialization.BestAvailableEncryption(password.encode())
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    held.write_bytes((pem / "ca.pem").read_bytes() + key.private_bytes(*form, kept))
    options = {"security.protocol": "SSL", "ssl.keystore.location": str(held), "ssl.key.password": "canary-other"}
    refused = out_of_reach("127.0.0.1:1", options, TimeoutError())
    assert "our key cannot be read" in refused.what
    assert "canary" not in str(refused)
