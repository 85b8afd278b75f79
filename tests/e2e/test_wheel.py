"""The wheel, installed without extras into an environment of its own: light enough to serve, whole enough to begin."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing asked for besides."""
    folder = tmp_path_factory.mktemp("wheel")
    constraints = str(ROOT / "conf" / "constraints.txt")
    made = folder / "env" / "bin" / "python"
    if shutil.which("uv"):
        run("uv", "build", "-q", "--wheel", "-o", str(folder), cwd=ROOT)
        run("uv", "venv", "-q", "-p", sys.executable, str(folder / "env"))
        install = ["uv", "pip", "install", "-q", "--python", str(made)]
    else:
        run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), ".", cwd=ROOT)
        run(sys.executable, "-m", "venv", str(folder / "env"))
        install = [str(made), "-m", "pip", "install", "-q"]
    run(*install, "-c", constraints, str(next(folder.glob("dovetail-*.whl"))))
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
