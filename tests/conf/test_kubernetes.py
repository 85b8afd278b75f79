"""Kubernetes' objects: what they name is there and agrees, probes ask what is answered, and no pod has rights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from deployed import ROOT, SHOP, VERSION, settings_with, wrong_with
from dockerfile import FILE, environment, last, stages

from dovetail.serving.door import OPEN
from dovetail.shared import project
from dovetail.shared.settings import Settings, load

FOLDER = ROOT / "conf" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
OBJECTS: list[dict[str, Any]] = [
    each for name in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
]
NAMED = {(each["kind"], each["metadata"]["name"]): each for each in OBJECTS}


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Its pods' template."""
    outer = workload["spec"]["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else workload["spec"]
    template: dict[str, Any] = outer["template"]
    return template


WORKLOADS = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] in ("Deployment", "CronJob")}
PODS = {name: pod(each)["spec"] for name, each in WORKLOADS.items()}
CONTAINERS = {name: each["containers"][0] for name, each in PODS.items()}


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    container = CONTAINERS[name]
    [common] = [NAMED["ConfigMap", each["configMapRef"]["name"]]["data"] for each in container["envFrom"]]
    own = {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}
    return settings_with(environment(FILE, container["name"]) | common | own, monkeypatch)


def test_every_file_is_a_resource() -> None:
    assert {f.name for f in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}
    assert len(NAMED) == len(OBJECTS)
    assert sorted(c["name"] for c in CONTAINERS.values()) == ["archive", "batch", "serving", "speed"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights(name: str) -> None:
    container, spec = CONTAINERS[name], PODS[name]
    user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert user == last(FILE, container["name"], "USER")
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & {*spec}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_a_command_that_is_there_of_an_image_that_is_built_and_pinned(name: str) -> None:
    container = CONTAINERS[name]
    assert wrong_with(container["args"]) == ""
    assert container["image"] == f"dovetail-{container['name']}"
    assert {"name": container["image"], "newTag": VERSION} in KUSTOMIZATION["images"]
    assert container["name"] in stages(FILE)
    sources = [word for word in container["args"][1:] if not word.startswith("--")]
    assert {*sources} <= {*project.load(load(SHOP)).sources}
    assert all(each.replace("_", "-") in name for each in sources)


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_is_told_are_settings_and_what_it_writes_is_mounted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, container = settings_of(name, monkeypatch), CONTAINERS[name]
    mounted = {m["mountPath"]: m for m in container["volumeMounts"]}
    volumes = {v["name"]: v for v in PODS[name]["volumes"]}
    assert {m["name"] for m in mounted.values()} == {*volumes}
    assert volumes[mounted[str(settings.storage.path)]["name"]]["persistentVolumeClaim"]["claimName"] == "dovetail-data"
    assert ("PersistentVolumeClaim", "dovetail-data") in NAMED
    assert "emptyDir" in volumes[mounted["/tmp"]["name"]]
    pepper = settings.access.pepper.removeprefix("file:")
    assert (pepper.rpartition("/")[0] in mounted) is settings.access.required
    gigabytes = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    heap = 0 if name == "serving" else int(settings.spark.driver_memory.removesuffix("g"))
    assert heap * 1.5 <= gigabytes, "beside its heap a layer has Python, and what the JVM holds outside"


@pytest.mark.parametrize("name", PODS)
def test_pods_share_a_node_as_they_share_its_disk(name: str) -> None:
    [claim] = [each for (kind, _), each in NAMED.items() if kind == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    [beside] = PODS[name]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [labels] = KUSTOMIZATION["labels"]
    assert labels["includeTemplates"]
    assert beside == {
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels["pairs"]},
    }  # fmt: skip


def test_of_archive_speed_and_batch_one_runs_at_a_time() -> None:
    for name, each in WORKLOADS.items():
        if each["kind"] == "CronJob":
            assert each["spec"]["concurrencyPolicy"] == "Forbid"
        elif name != "serving":
            assert (each["spec"]["replicas"], each["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_the_server_is_asked_whether_it_is_up_by_a_path_and_a_name_that_need_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container, settings = CONTAINERS["serving"], settings_of("serving", monkeypatch)
    asked = container["livenessProbe"]["httpGet"]
    assert asked["path"] in OPEN
    assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    assert container["ports"] == [{"name": asked["port"], "containerPort": settings.serving.port}]
    # /ready wants a key, which kubelet could not send: healthy.py takes it from this variable.
    [key] = [each for each in container["env"] if each["name"] == "DOVETAIL_KEY"]
    assert key["valueFrom"]["secretKeyRef"]["optional"] is True
    assert settings.access.required


@pytest.mark.parametrize("name", ["archive-fact-orders", "speed-fact-orders", "serving"])
def test_a_layer_is_ready_when_its_own_image_says_so(name: str) -> None:
    container = CONTAINERS[name]
    probe = container["readinessProbe"]["exec"]["command"]
    assert probe == ["python", "/opt/dovetail/healthy.py", container["name"]]
    assert container["readinessProbe"]["timeoutSeconds"] > 10, "healthy.py waits so long for an answer"


def test_the_service_and_the_policy_are_about_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    service, settings = NAMED["Service", "serving"], settings_of("serving", monkeypatch)
    labels = pod(WORKLOADS["serving"])["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert service["metadata"]["name"] in settings.serving.names
    assert f"serving.{KUSTOMIZATION['namespace']}.svc" in settings.serving.names
    policy = NAMED["NetworkPolicy", "serving"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"protocol": "TCP", "port": settings.serving.port}]]
    assert NAMED["NetworkPolicy", "nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for name, each in WORKLOADS.items():
        if each["kind"] == "Deployment":
            assert each["spec"]["selector"]["matchLabels"] == pod(each)["metadata"]["labels"], name


def test_pods_are_held_to_it_by_the_cluster_too() -> None:
    namespace = NAMED["Namespace", KUSTOMIZATION["namespace"]]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for _, name in NAMED)
