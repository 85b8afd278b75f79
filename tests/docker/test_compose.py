"""The composition of all layers: what it names is there, agrees, and gives nobody more rights than needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import ROOT, SHOP, VERSION, settings_with, wrong_with
from dockerfile import FILE, NOBODYS, environment, last

from dovetail.shared import project
from dovetail.shared.jars import locked
from dovetail.shared.settings import load

FOLDER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LAYERS = {name: service for name, service in SERVICES.items() if "build" in service}
PROMETHEUS: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
WRITES_ITS_CONFIGURATION = {"kafka"}
STATELESS = {"topic"}


def filled(text: str) -> str:
    """With the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_version_and_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", service["image"])
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", False) is (name not in WRITES_ITS_CONFIGURATION)
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"} & {*service}
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_built_of_its_target_and_runs_a_command_that_is_there(name: str) -> None:
    service = LAYERS[name]
    assert service["image"] == f"dovetail-{name}:{VERSION}"
    assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == FILE
    assert service["build"]["target"] == name
    assert service["user"] == last(FILE, name, "USER")
    assert NOBODYS.fullmatch(service["user"])
    assert wrong_with([filled(word) for word in service["command"]]) == ""


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_layer_is_told_are_settings_and_they_fit_the_broker_and_the_volumes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = LAYERS[name]
    settings = settings_with(environment(FILE, name) | service["environment"], monkeypatch)
    assert f"PLAINTEXT://{settings.kafka.bootstrap}" == SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    mounted = {volume.rpartition(":/")[2].split(":")[0] for volume in service["volumes"]}
    assert settings.storage.root.strip("/") in mounted
    assert "project" in mounted
    assert any(volume.endswith(":/project:ro") for volume in service["volumes"])
    assert ("keys" in mounted) is (name == "serving")
    temporary = service.get("tmpfs") == ["/tmp"] if name == "serving" else "/tmp" in service["volumes"]
    assert temporary, "nothing else can be written, and a tmpfs has no room for what Spark spills"


def test_the_defaults_are_the_shop_s_source_and_topic() -> None:
    shop = project.load(load(SHOP))
    assert filled(LAYERS["speed"]["volumes"][0]) == "../examples/shop:/project:ro"
    for layer in ("archive", "speed"):
        [source] = [word for word in map(filled, LAYERS[layer]["command"]) if word not in (layer, "--json")]
        words = [*map(filled, SERVICES["topic"]["command"])]
        assert dict(zip(words[::2], words[1::2], strict=True)) == {
            "--topic": shop.source(source).topic,
            "--partitions": str(shop.settings.kafka.partitions),
        }


def test_every_volume_and_secret_is_declared_and_used_and_every_file_is_there() -> None:
    volumes = [v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if ":/" in v]
    folders = [filled(v) for s in SERVICES.values() for v in map(filled, s.get("volumes", [])) if v.startswith(".")]
    assert {v for v in volumes if not v.startswith((".", "$"))} == {*COMPOSE["volumes"]}
    assert [v for v in folders if not (FOLDER / v.split(":")[0]).exists()] == []
    assert all(v.endswith(":ro") for v in folders)
    assert {s for service in SERVICES.values() for s in service.get("secrets", [])} == {*COMPOSE["secrets"]}
    assert "docker/secrets/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert all(secret["file"] == f"./secrets/{name}" for name, secret in COMPOSE["secrets"].items())


def test_who_depends_on_somebody_can() -> None:
    for service in SERVICES.values():
        for name, how in service.get("depends_on", {}).items():
            good = "healthcheck" in SERVICES[name] if how["condition"] == "service_healthy" else name in STATELESS
            assert good, name


def test_the_broker_is_the_one_that_the_tests_run() -> None:
    [tested] = [jar.version for jar in locked("broker") if jar.artifact == "kafka_2.13"]
    assert {SERVICES[name]["image"] for name in ("kafka", "topic")} == {f"apache/kafka:{tested}"}


def test_only_the_server_is_reached_and_it_asks_everybody_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_with(SERVICES["serving"]["environment"], monkeypatch)
    assert settings.access.required
    assert SERVICES["serving"]["ports"] == [f"127.0.0.1:{settings.serving.port}:{settings.serving.port}"]
    assert last(FILE, "serving", "EXPOSE") == str(settings.serving.port)
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"serving", "prometheus", "grafana"}


def test_prometheus_asks_the_server_by_a_name_it_knows_with_a_key_that_is_mounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_with(SERVICES["serving"]["environment"], monkeypatch)
    [job] = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{settings.serving.names[0]}:{settings.serving.port}"]}]
    assert settings.serving.names[0] in SERVICES
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{SERVICES['prometheus']['secrets'][0]}"
    mounted = {v.split(":")[1]: v.split(":")[0] for v in SERVICES["prometheus"]["volumes"]}
    assert [mounted[file] for file in PROMETHEUS["rule_files"]] == ["../conf/alerts.yml"]


def test_grafana_finds_prometheus_and_the_board() -> None:
    mounted = {v.split(":")[1]: v.split(":")[0] for v in SERVICES["grafana"]["volumes"]}
    given = {where.split("/")[4]: FOLDER / what for where, what in mounted.items() if "/provisioning/" in where}
    [source] = yaml.safe_load(given["datasources"].read_text("utf-8"))["datasources"]
    [provider] = yaml.safe_load(given["dashboards"].read_text("utf-8"))["providers"]
    assert source["url"] == "http://prometheus:9090"
    assert SERVICES["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    [board] = [what for where, what in mounted.items() if Path(where).parent == Path(provider["options"]["path"])]
    variables = json.loads((FOLDER / board).read_text("utf-8"))["templating"]["list"]
    assert [v["query"] for v in variables if v["type"] == "datasource"] == [source["type"]]
