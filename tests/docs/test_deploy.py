"""What docs/deploy.md tells to type and to read is there."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml
from deployed import ROOT, SHOP, VERSION, wrong_with
from dockerfile import FILE, stages

from dovetail.shared import project
from dovetail.shared.settings import load

PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text("utf-8"))["services"]
COMPOSE = "docker compose -f docker/compose.yml "


def about(what: str) -> list[str]:
    found = [line for line in LINES if what in line]
    assert found, what
    return found


@pytest.mark.parametrize("line", [line for line in LINES if re.search(r"(^|[ /])dovetail [a-z]", line)])
def test_a_command_is_one(line: str) -> None:
    if re.search(r"useradd|chmod|create (namespace|secret)|-n dovetail (create|rollout)", line):
        return
    words = shlex.split(re.split(r"(?:^|[ /])dovetail (?=[a-z])(?!exec)", line)[-1])
    assert wrong_with(words) == ""


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(COMPOSE)])
def test_what_compose_is_told_is_of_a_service_that_is_there(line: str) -> None:
    verb, *words = shlex.split(line.removeprefix(COMPOSE).partition("|")[0])
    if verb == "run":
        service, *words = [word for word in words if word not in ("--rm", "--no-deps", "-T")]
        assert service in SERVICES
        assert not words or wrong_with(words) == ""


def test_an_image_is_built_of_a_target_and_named_by_it() -> None:
    for line in about("docker buildx build"):
        [(target, name, version)] = re.findall(
            r"--target (\w+) --sbom=true --provenance=true -t dovetail-(\w+):(\S+) \.", line
        )
        assert target in stages(FILE)
        assert (name, version) == (target, VERSION)
    assert len(about("docker buildx build")) == 4


def test_units_are_there_and_of_a_source_of_the_shop() -> None:
    for line in about("systemctl "):
        for unit in re.findall(r"dovetail-\S+", line):
            name, _, source = unit.partition("@")
            file = f"{name}@.service" if source else unit if unit.endswith(".timer") else f"{unit}.service"
            assert (ROOT / "conf" / "systemd" / file).is_file(), unit
            assert not source or source in project.load(load(SHOP)).sources


def test_objects_of_kubernetes_are_there() -> None:
    text = "\n".join(f.read_text("utf-8") for f in (ROOT / "conf" / "kubernetes").glob("*.yaml"))
    for line in about("kubectl -n dovetail"):
        for name in re.findall(r"(?:deploy|cronjob)/([\w-]+)|secret generic ([\w-]+)", line):
            assert re.search(rf"\b(name|secretName): {''.join(name)}\b", text), name
    assert "--from-literal=pepper=" in PAGE
    assert "DOVETAIL__ACCESS__PEPPER=file:/keys/pepper" in FILE.read_text("utf-8")


def test_files_that_it_names_are_there() -> None:
    named = {*re.findall(r"\b((?:conf|docker|tests)/[\w./-]*\w)", PAGE), *re.findall(r"\]\(([\w./-]+\.md)[#)]", PAGE)}
    made = {"docker/secrets", "docker/secrets/grafana-password", "docker/secrets/prometheus-key", "docker/.env"}
    assert {n for n in named - made if not (ROOT / n).exists() and not (ROOT / "docs" / n).exists()} == set()


def test_other_pages_lead_to_it() -> None:
    assert "docs/deploy.md" in (ROOT / "README.md").read_text("utf-8")
