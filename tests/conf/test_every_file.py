"""Every file under conf/ and docker/ is read by a test."""

from __future__ import annotations

from deployed import ROOT

READ_BY = {
    "conf/alerts.yml": ("tests/docs/test_watching.py", "alerts.yml"),
    "conf/broker-jars.lock": ("tests/docker/test_compose.py", 'locked("broker")'),
    "conf/broker-log4j2.properties": ("tests/e2e/test_broker.py", "Broker.start"),
    "conf/broker-server.properties": ("tests/e2e/test_broker.py", "Broker.start"),
    "conf/constraints.txt": ("tests/e2e/test_wheel.py", "constraints.txt"),
    "conf/grafana-dashboard.json": ("tests/docs/test_watching.py", "grafana-dashboard.json"),
    "conf/kubernetes/": ("tests/conf/test_kubernetes.py", '"kubernetes"'),
    "conf/spark-classes.txt": ("tests/conftest.py", "engine.start"),
    "conf/s3-jars.lock": ("tests/s3/test_s3.py", "s3_store"),
    "conf/spark-jars.lock": ("tests/conftest.py", "engine.start"),
    "conf/spark-log4j2.properties": ("tests/conftest.py", "engine.start"),
    "conf/systemd/": ("tests/conf/test_systemd.py", '"systemd"'),
    "conf/trino-jars.lock": ("tests/trino/trino_server.py", 'ensure("trino"'),
    "conf/terraform/": ("tests/conf/test_terraform.py", '"terraform"'),
    "docker/Dockerfile": ("tests/dockerfile.py", '"Dockerfile"'),
    "docker/Dockerfile.dockerignore": ("tests/docker/test_images.py", "Dockerfile.dockerignore"),
    "docker/compose.yml": ("tests/docker/test_compose.py", "compose.yml"),
    "docker/grafana/": ("tests/docker/test_compose.py", '["datasources"]'),
    "docker/healthy.py": ("tests/docker/test_healthy.py", "healthy.py"),
    "docker/project.Dockerfile": ("tests/docker/test_images.py", "project.Dockerfile"),
    "docker/prometheus.yml": ("tests/docker/test_compose.py", "prometheus.yml"),
}
"""The test that reads a file, or all of a folder, and a word by which it does. Folders: for tests that take each."""
MADE = {"__pycache__", "secrets"}


def test_a_test_reads_each_of_them() -> None:
    every = [f for folder in ("conf", "docker") for f in (ROOT / folder).rglob("*") if f.is_file()]
    files = {str(f.relative_to(ROOT)) for f in every if not MADE & {*f.parts}}
    assert {f for f in files if not any(f == name or f.startswith(name) for name in READ_BY)} == set()
    assert {name for name in READ_BY if not any(f == name or f.startswith(name) for f in files)} == set()
    for name, (test, word) in READ_BY.items():
        assert word in (ROOT / test).read_text("utf-8"), f"{name} is not read by {test}"
