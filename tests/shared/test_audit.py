"""The audit log where several processes write it: every line is there, whole, also when the file is set aside."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.shared import audit
from dovetail.shared.tables import Layout

WRITERS, LINES, LARGEST = 3, 400, 60_000
CODE = f"""
import sys
from pathlib import Path
from dovetail.shared import audit
from dovetail.shared.tables import Layout
audit.LARGEST = {LARGEST}
sys.stdin.read()
for n in range({LINES}):
    audit.write(Layout(Path(sys.argv[1])), sys.argv[2], "query", n=n, receipt="s1.2.0123456789abcd")
"""


def test_lines_of_several_processes_are_whole_and_none_is_lost(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    writers = [
        subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path), str(n)], stdin=pipe) for n in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()  # all at once
    assert [writer.wait(60) for writer in writers] == [0] * WRITERS
    folder = Layout(tmp_path).access
    written = [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines()]
    found = {(line["who"], line["n"]) for line in map(json.loads, written)}
    assert (folder / "audit.1.jsonl").stat().st_size > LARGEST
    assert found == {(str(who), n) for who in range(WRITERS) for n in range(LINES)}


def test_of_a_line_that_a_full_disk_cuts_off_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, write = Layout(tmp_path), os.write
    audit.write(layout, "ann", "query")
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:20]))
    with pytest.raises(OSError, match="No space left") as raised:
        audit.write(layout, "bob", "query")
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    audit.write(layout, "eve", "query")
    written = (layout.access / "audit.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["who"] for line in written] == ["ann", "eve"]
