"""The images, as far as they can be judged without building one: pinned, small, of nobody's rights, and with a job."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from deployed import ROOT, VERSION, settings_with, wrong_with
from dockerfile import FILE, NOBODYS, chain, environment, exec_form, last, stages

from dovetail.shared.java import OLDEST

FOLDER = ROOT / "docker"
OF_A_PROJECT, IGNORED = FOLDER / "project.Dockerfile", FOLDER / "Dockerfile.dockerignore"
TARGETS = ["archive", "speed", "batch", "serving"]


def test_a_base_is_a_stage_above_or_pinned_by_its_version() -> None:
    known: set[str] = set()
    for stage in stages(FILE).values():
        assert stage.base in known or re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", stage.base)
        known.add(stage.name)
    assert {*TARGETS} <= known


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_its_layer_as_nobody_in_particular(target: str) -> None:
    assert NOBODYS.fullmatch(last(FILE, target, "USER"))
    assert exec_form(last(FILE, target, "ENTRYPOINT")) == ["tini", "--", "dovetail"]
    assert wrong_with(exec_form(last(FILE, target, "CMD"))) == ""
    assert exec_form(last(FILE, target, "CMD"))[0] == {"serving": "serve"}.get(target, target)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_how_it_is_and_needs_no_shell_for_it(target: str) -> None:
    health = last(FILE, target, "HEALTHCHECK")
    if target == "batch":
        assert health == "NONE"
    else:
        assert exec_form(health.partition(" CMD ")[2]) == ["python", "/opt/dovetail/healthy.py", target]
        assert "docker/healthy.py /opt/dovetail/healthy.py" in [c for s in chain(FILE, target) for c in s.all("COPY")]


def test_serving_has_neither_java_nor_spark_and_the_others_have_one_that_fits() -> None:
    built = {target: _lines(target) for target in TARGETS}
    assert not re.search(r"jre|jdk|\bspark\b", built.pop("serving"))
    for lines in built.values():
        [java] = {*re.findall(r"openjdk-(\d+)-jre-headless", lines)}
        assert int(java) >= OLDEST
        assert "[spark," in lines


def _lines(target: str) -> str:
    """What is run for an image, in the stages that it copies from too."""
    own = chain(FILE, target)
    copied = [name for stage in own for line in stage.all("COPY") for name in re.findall(r"--from=(\S+)", line)]
    return "\n".join(line for name in (target, *copied) for stage in chain(FILE, name) for line in stage.all("RUN"))


def test_nothing_comes_from_an_address_and_no_secret_is_built_in() -> None:
    text = FILE.read_text("utf-8")
    assert not re.search(r"\b(curl|wget|http://|https://|git clone)|^ADD |^ARG |password|secret", text, re.M | re.I)
    for stage in stages(FILE).values():
        for line in stage.all("RUN"):
            assert ("apt-get install" in line) == ("--no-install-recommends" in line) == ("rm -rf /var/lib/apt" in line)
            assert ("pip " in line) == ("-c conf/constraints.txt" in line) == ("--no-cache-dir" in line)


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_image_sets_are_settings_and_folders_that_it_makes(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(environment(FILE, target), monkeypatch)
    made = " ".join(line for stage in chain(FILE, target) for line in stage.all("RUN"))
    assert settings.storage.path == Path("/data")
    assert settings.access.pepper == "file:/keys/pepper"
    assert "install -d -o dovetail -g dovetail -m 0700 /data /keys" in made
    assert f"useradd --uid {last(FILE, target, 'USER').partition(':')[0]} " in made


def test_what_is_sent_to_the_builder_is_what_a_wheel_is_made_of_and_is_there() -> None:
    lines = [line for line in IGNORED.read_text("utf-8").splitlines() if not line.startswith("#")]
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    assert [name for name in allowed if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {*project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"], "pyproject.toml", "docker/healthy.py"}
    assert needed == allowed


def test_a_python_that_the_project_is_for() -> None:
    [version] = re.findall(r"^FROM python:(\d+\.\d+)\.", FILE.read_text("utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_an_image_with_a_project_is_of_this_version_and_one_of_the_targets() -> None:
    text = OF_A_PROJECT.read_text("utf-8")
    assert f"FROM dovetail-${{LAYER}}:{VERSION}" in text
    assert {*re.findall(r"LAYER=(\w+)", text)} <= {*TARGETS}
    assert "COPY . /project" in text
    assert last(FILE, "serving", "WORKDIR") == "/project"
    assert f"dovetail-serving:{VERSION}" in FILE.read_text("utf-8")
