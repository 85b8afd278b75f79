"""Options passed on to Kafka and Spark: a short list of refusals, and secrets by reference only."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.shared.errors import SettingsError
from dovetail.shared.options import KAFKA_DENIED, SPARK_DENIED, refused
from dovetail.shared.settings import Settings, load

CANARY = "canary-7f3a"


def project(folder: Path, section: str, key: str, options: dict[str, str]) -> Settings:
    pairs = ", ".join(f'"{name}" = {value!r}' for name, value in options.items())
    (folder / "dovetail.toml").write_text(f"[{section}]\n{key} = {{{pairs}}}\n", encoding="utf-8")
    return load(folder)


def test_a_reference_is_resolved_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", CANARY)
    (tmp_path / "token").write_text(CANARY + "\n", encoding="utf-8")
    options = {"ssl.key.password": "env:BROKER_PASSWORD", "my.token": "file:token", "security.protocol": "SSL"}
    settings = project(tmp_path, "kafka", "options", options)
    assert settings.kafka.resolved_options() == {
        "ssl.key.password": CANARY,
        "my.token": CANARY,
        "security.protocol": "SSL",
    }
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()


def test_spark_settings_are_resolved_too_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", CANARY)
    conf = {"spark.hadoop.fs.s3a.secret.key": "env:KEY", "spark.eventLog.dir": "file:///events"}
    settings = project(tmp_path, "spark", "conf", conf)
    assert settings.spark.resolved_conf() == {
        "spark.hadoop.fs.s3a.secret.key": CANARY,
        "spark.eventLog.dir": "file:///events",
    }


def test_a_reference_to_nothing_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    settings = project(tmp_path, "kafka", "options", {"a.password": "env:NOT_SET"})
    with pytest.raises(SettingsError, match="NOT_SET is not set") as caught:
        settings.kafka.resolved_options()
    assert caught.value.where.endswith("kafka.options a.password")
    settings = project(tmp_path, "kafka", "options", {"a.password": "file:gone"})
    with pytest.raises(SettingsError, match="gone cannot be read"):
        settings.kafka.resolved_options()


@pytest.mark.parametrize(
    "name", ["ssl.key.password", "SSL.Key.Password", "sasl.jaas.config", "x.client.secret", "api.token", "a.secret.key"]
)
def test_a_secret_written_out_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="write a reference, env:NAME or file:PATH") as caught:
        project(tmp_path, "kafka", "options", {name: CANARY})
    assert name in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["group.id", "isolation.level", "enable.auto.commit", "failOnDataLoss", "startingOffsets", "interceptor.classes",
     "sasl.login.callback.handler.class", "bootstrap.servers", "sasl.oauthbearer.token.endpoint.url"],
)  # fmt: skip
def test_an_option_that_would_break_a_rule_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} may not be set: .{{10}}"):
        project(tmp_path, "kafka", "options", {name: "x"})
    with pytest.raises(SettingsError, match=r"without its 'kafka\.'"):
        project(tmp_path, "kafka", "options", {f"kafka.{name}": "x"})


@pytest.mark.parametrize("name", ["spark.jars.packages", "spark.sql.session.timeZone", "spark.sql.extensions"])
def test_a_spark_setting_that_would_break_a_rule_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} may not be set: .{{10}}"):
        project(tmp_path, "spark", "conf", {name: "x"})


def test_ordinary_options_pass() -> None:
    kafka = ["security.protocol", "sasl.mechanism", "ssl.truststore.location", "fetch.max.bytes", "client.id"]
    spark = ["spark.sql.shuffle.partitions", "spark.executor.memory", "spark.driver.extraJavaOptions"]
    assert [refused(name, "x", KAFKA_DENIED) for name in kafka] == [None] * len(kafka)
    assert [refused(name, "x", SPARK_DENIED) for name in spark] == [None] * len(spark)


def test_an_empty_reference_is_refused() -> None:
    assert refused("client.id", "env:", KAFKA_DENIED) == "is 'env:', which names nothing: write env:NAME or file:PATH"


def test_options_of_the_wrong_form_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "dovetail.toml").write_text(f"[kafka]\noptions = 'sasl.password={CANARY}'\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"kafka\.options: must be a valid dictionary") as caught:
        load(tmp_path)
    assert CANARY not in str(caught.value)
