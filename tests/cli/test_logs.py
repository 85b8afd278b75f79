"""What the verbs that run for long say on stderr: JSON lines where the project wants them, and never a secret."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

CANARY = "canary-5f1e"
LONG = ["dev", "archive", "speed", "batch", "serve"]
TOML = """
[kafka]
options = {{ "sasl.password" = "env:CANARY" }}
[storage]
root = "{root}"
[serving]
port = {port}
[telemetry]
logs = "{logs}"
"""


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "dovetail", *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True,
        env={**os.environ, "CANARY": CANARY},
    )  # fmt: skip


def set_up(folder: Path, *, logs: str, port: int = 0, root: str = "data") -> None:
    (folder / "dovetail.toml").write_text(TOML.format(logs=logs, port=port, root=root))


@pytest.mark.parametrize("verb", LONG)
def test_an_error_is_a_json_line_with_its_stack_and_without_the_secret_in_it(project: Path, verb: str) -> None:
    (project / CANARY).write_text("a file, where a folder is wanted")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        set_up(project, logs="json", port=taken.getsockname()[1], root=CANARY)
        _, said = begun(project, verb).communicate(timeout=60)
    (told,) = map(json.loads, said.splitlines())
    assert (told["level"], told["logger"]) in [("error", "dovetail.cli"), ("critical", "dovetail.cli")]
    assert told["exception"] in ("ServiceMissing", "UsageError", "NotADirectoryError")
    assert f"{told['exception']}: " in told["stack"]
    assert CANARY not in said


def test_text_and_json_documents_hold_no_secret_either(project: Path) -> None:
    (project / "views.py").write_text("import os\nraise RuntimeError(f\"at {os.environ['CANARY']}\")\n")
    set_up(project, logs="text")
    for arguments in (["speed"], ["speed", "--json"]):
        ended = begun(project, *arguments)
        _, said = ended.communicate(timeout=60)
        assert ended.returncode == 2
        assert "RuntimeError: at [redacted]" in said
        assert CANARY not in said


def test_a_server_says_in_json_where_it_listens_and_what_went_wrong(project: Path) -> None:
    set_up(project, logs="json")
    server = begun(project, "serve")
    assert server.stderr is not None
    told = json.loads(server.stderr.readline())
    assert (told["level"], told["logger"]) == ("info", "dovetail.cli")
    address = told["message"].removeprefix("serving at ")
    assert httpx.get(f"{address}/health").json() == {"up": True}
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as wrong:
        wrong.sendall(b"\x1b[31m no request\r\n\r\n")
        wrong.recv(100)
    server.send_signal(signal.SIGTERM)
    _, rest = server.communicate(timeout=30)
    assert [json.loads(line)["logger"] for line in rest.splitlines()] == ["uvicorn.error"]
