"""The wheel, installed without extras into an environment of its own: light enough to serve, whole enough to begin."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from e2e_system import free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    if shutil.which("uv"):
        run("uv", "build", "-q", "--wheel", "-o", str(folder), cwd=ROOT)
    else:
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), ".", cwd=ROOT)
    return next(folder.glob("dovetail-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing asked for besides."""
    return installed(str(wheel), tmp_path_factory.mktemp("base"))


def installed(what: str, folder: Path) -> Path:
    constraints, made = str(ROOT / "conf" / "constraints.txt"), folder / "bin" / "python"
    if shutil.which("uv"):
        run("uv", "venv", "-q", "--allow-existing", "-p", sys.executable, str(folder))
        run("uv", "pip", "install", "-q", "--python", str(made), "-c", constraints, what)
    else:
        run(sys.executable, "-m", "venv", str(folder))
        run(str(made), "-m", "pip", "install", "-q", "-c", constraints, what)
    return made


def run(*command: str, cwd: Path | None = None) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_serving_is_imported_without_pyspark(python: Path, tmp_path: Path) -> None:
    code = "import sys, dovetail, dovetail.serving.app; print('pyspark' in sys.modules, dovetail.__file__)"
    said, file = run(str(python), "-c", code, cwd=tmp_path).split()
    assert said == "False"
    assert Path(file).is_relative_to(python.parents[1])


def test_init_copies_a_whole_project_out_of_the_wheel(python: Path, tmp_path: Path) -> None:
    run(str(python.parent / "dovetail"), "init", "shop", cwd=tmp_path)
    made = {str(f.relative_to(tmp_path / "shop")) for f in (tmp_path / "shop").rglob("*") if f.is_file()}
    tracked = run("git", "ls-files", "examples/shop", cwd=ROOT).split()
    assert made == {f.removeprefix("examples/shop/") for f in tracked}


def test_what_needs_spark_says_how_to_get_it(python: Path, tmp_path: Path) -> None:
    run(str(python.parent / "dovetail"), "init", "shop", cwd=tmp_path)
    ran = subprocess.run(
        [str(python.parent / "dovetail"), "speed"], cwd=tmp_path / "shop", capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "pip install 'dovetail[spark]'" in ran.stderr


@pytest.mark.long
@pytest.mark.java
@pytest.mark.timeout(600)
def test_a_new_project_checks_runs_and_passes_its_tests_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    folder = installed(f"{wheel}[spark,test]", tmp_path / "env").parent
    run(str(folder / "dovetail"), "init", "shop", cwd=tmp_path)
    shop, port = tmp_path / "shop", free_port()
    assert "0 problems" in run(str(folder / "dovetail"), "check", cwd=shop)
    ports = {"DOVETAIL__SERVING__PORT": str(port), "DOVETAIL__KAFKA__PORT": str(free_port())}
    dev = subprocess.Popen(
        [str(folder / "dovetail"), "dev"], cwd=shop, env={**os.environ, **ports}, stdout=subprocess.PIPE, text=True
    )
    with dev:
        assert dev.stdout is not None
        try:
            assert any("Ctrl-C stops all" in line for line in dev.stdout)
            rows = httpx.get(f"http://127.0.0.1:{port}/v1/views/sales/query?measures=lines").json()["rows"]
            proved = run(str(folder / "dovetail"), "prove", "--kill", "--json", cwd=shop)
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        finally:
            dev.send_signal(signal.SIGINT)
            code = dev.wait(60)
    assert rows[0]["lines"] > 0
    killed, proof = [json.loads(line) for line in proved.splitlines()][:3], json.loads(proved.splitlines()[-1])
    assert len({k["killed"] for k in killed}) == 3
    assert (proof["holds"], proof["lost"], proof["doubled"]) == (True, 0, 0)
    assert 'dovetail_proof_holds{source="fact_orders"} 1.0' in metrics
    assert code == 0
    assert " passed" in run(str(folder / "python"), "-m", "pytest", "-q", cwd=shop)
