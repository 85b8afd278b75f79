"""systemd's units: each starts a verb that is there, with settings that are, and can write its two folders alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from deployed import ROOT, settings_with, wrong_with

FOLDER = ROOT / "conf" / "systemd"
COMMON = FOLDER / "dovetail-.service.d" / "layer.conf"
SERVICES = sorted(FOLDER.glob("*.service"))
TIMER = FOLDER / "dovetail-batch.timer"
ANALYZE = shutil.which("systemd-analyze")
COMMAND = "/opt/dovetail/bin/dovetail "


def entries(file: Path) -> dict[tuple[str, str], list[str]]:
    """The values of each key by section and key, in order."""
    found, section = dict[tuple[str, str], list[str]](), ""
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault((section, key), []).append(value)
    return found


def started(unit: Path) -> list[str]:
    [command] = entries(unit)["Service", "ExecStart"]
    assert command.startswith(COMMAND)
    return command.removeprefix(COMMAND).replace("%i", "orders").split()


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_starts_a_verb_that_is_there(unit: Path) -> None:
    assert unit.name.startswith("dovetail-"), "layer.conf would not be read for it"
    assert wrong_with(started(unit)) == ""
    assert unit.name.removeprefix("dovetail-").split(".")[0].strip("@") == started(unit)[0]
    assert ("%i" in unit.read_text("utf-8")) is ("@" in unit.name)


def test_there_is_a_unit_for_every_layer() -> None:
    assert sorted(started(unit)[0] for unit in SERVICES) == ["archive", "batch", "serve", "speed"]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_what_a_unit_sets_are_settings_and_folders_that_it_may_write(
    unit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = entries(COMMON)
    given = [*common["Service", "Environment"], *entries(unit).get(("Service", "Environment"), [])]
    variables = dict(pair.split("=", 1) for pair in given)
    settings = settings_with(variables, monkeypatch)
    writable = common["Service", "ReadWritePaths"][0].split()
    assert str(settings.storage.path.parent) in writable
    assert variables["DOVETAIL_CACHE"] in writable
    pepper = Path(settings.access.pepper.removeprefix("file:"))
    assert str(pepper.parent) in writable
    assert not pepper.is_relative_to(settings.storage.path), "it never lies with what is hashed under it"
    for folder, key in zip(writable, ("StateDirectory", "CacheDirectory"), strict=True):
        assert [Path(folder).name] == common["Service", key]


def test_a_layer_has_no_rights_but_its_own() -> None:
    service = {key: values[-1] for (section, key), values in entries(COMMON).items() if section == "Service"}
    for key in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "RestrictNamespaces",
        "RestrictSUIDSGID",
    ):
        assert service[key] == "yes", key
    assert service["User"] not in ("", "root")
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"], service["UMask"]) == ("strict", "", "0077")
    assert service["KillMode"] == "mixed", "a JVM that is told to end by itself ends in mid write"


@pytest.mark.parametrize("layer", ["archive@", "speed@", "serve"])
def test_a_layer_comes_back_but_for_wrong_use(layer: str) -> None:
    unit = entries(FOLDER / f"dovetail-{layer}.service")
    assert unit["Service", "Restart"] == ["on-failure"]
    assert unit["Service", "RestartPreventExitStatus"] == ["2"]
    assert unit["Unit", "StartLimitIntervalSec"] == ["0"], "a broker may be away for long"


def test_the_night_starts_the_batch_once_and_makes_up_for_one_that_was_missed() -> None:
    timer = entries(TIMER)
    assert timer["Timer", "Persistent"] == ["yes"]
    assert timer["Timer", "OnCalendar"][0].endswith(" UTC")
    batch = entries(FOLDER / "dovetail-batch.service")
    assert batch["Service", "Type"] == ["oneshot"]
    assert batch["Service", "TimeoutStartSec"] == ["infinity"]


@pytest.mark.skipif(ANALYZE is None, reason="could: systemd-analyze is not installed")
def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    for unit in tmp_path.glob("*.service"):
        unit.write_text(unit.read_text("utf-8").replace(COMMAND, "/bin/true "))
    names = ("archive@a.service", "speed@a.service", "serve.service", "batch.timer")
    units = [tmp_path / f"dovetail-{name}" for name in names]
    ran = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if str(tmp_path) in line]) == (0, [])
