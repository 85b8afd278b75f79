"""What command tests share: a project of their own, and a command line that runs in this process."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from dovetail.cli import main

from .stub_server import StubServer

VIEWS = """
import dovetail as dv
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def doubled(lines: DataFrame) -> DataFrame:
    return lines.withColumn("amount", F.col("quantity") * 2)


lines = dv.source(
    "lines", topic="cli.lines", event_time="at",
    schema="country string, quantity int, price decimal(10,2), at timestamp",
)
sales = dv.view(
    "sales", source=lines, transform=[doubled], keys=["country"], bucket="1h",
    measures={"lines": dv.count(), "revenue": dv.sum("price")},
)
"""


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and its two outputs."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> object:
        return orjson.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colours, one width, and none of the settings of whoever runs the tests."""
    for name in [n for n in os.environ if n.upper().startswith("DOVETAIL_")]:
        monkeypatch.delenv(name)
    for name, value in {"NO_COLOR": "1", "COLUMNS": "100", "TERMINAL_WIDTH": "100", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line as `dovetail` would."""

    def run(*arguments: str) -> Said:
        capfd.readouterr()
        code = main(list(arguments))
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project in the working directory; what it imports is forgotten again."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "dovetail.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    (folder / "views.py").write_text(VIEWS)
    monkeypatch.chdir(folder)
    path, modules = list(sys.path), set(sys.modules)
    yield folder
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    """A stub of the project's server."""
    with StubServer() as stub:
        monkeypatch.setenv("DOVETAIL__SERVING__PORT", str(stub.server_port))
        thread = threading.Thread(target=stub.serve_forever, args=(0.01,))
        thread.start()
        yield stub
        stub.shutdown()
        thread.join()
