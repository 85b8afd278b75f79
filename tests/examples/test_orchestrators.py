"""The files for Airflow and Dagster load, and run what they should, under the real ones where they are installed.

Neither is a dependency: AIRFLOW_PYTHON and DAGSTER_PYTHON name the interpreter of an environment that has it, as made
by `uv venv ENV && uv pip install --python ENV/bin/python 'apache-airflow>=3'`, or `dagster`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "examples" / "nightly"
ASKED = {
    "airflow": [
        "batch sales", "plan", "reprocess sales --plan 3f2a9c0d", "promote sales --because deployed",
        "promote sales --because deployed",
    ],
    "dagster": [
        "batch sales", "batch buyers", "prove", "plan", "reprocess sales --plan 3f2a9c0d",
        "promote sales --because deployed", "reprocess sales --plan 3f2a9c0d", "promote sales --because deployed",
        "batch sales",
    ],
}  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ASKED)
def test_its_file_loads_and_runs_what_it_should(name: str, tmp_path: Path) -> None:
    python = os.environ.get(f"{name.upper()}_PYTHON") or (sys.executable if importlib.util.find_spec(name) else "")
    if not python:
        pytest.skip(f"could: {name} is not installed; {name.upper()}_PYTHON names an interpreter that has it")
    env = {**os.environ, "DOVETAIL": str(HERE / "stub.sh"), "DOVETAIL_PROJECT": str(tmp_path)}
    env |= {"AIRFLOW_HOME": str(tmp_path / "airflow"), "DAGSTER_DISABLE_TELEMETRY": "yes", "PYTHONPATH": str(FOLDER)}
    script = HERE / f"in_{name}.py"
    ran = subprocess.run([python, script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    asked = [line.removesuffix(" --json") for line in (tmp_path / "asked").read_text().splitlines()]
    assert sorted(asked) == sorted(ASKED[name])
