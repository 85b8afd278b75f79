"""What the files for Airflow and Dagster share: how a verb's end is read, what a channel is told, what they run."""

from __future__ import annotations

import ast
import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from deployed import ROOT, wrong_with
from receiver import receiver

FOLDER = ROOT / "examples" / "nightly"
CLOSED = '{"view": "sales", "closed": "sales: lines 10 → 1"}'


def names(file: str, as_name: str = "example") -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / file), run_name=as_name)


def ending(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> dict[str, Any]:
    """What dovetail_verb.py holds where `dovetail` is this shell script."""
    file = folder / "dovetail"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("DOVETAIL", str(file))
    monkeypatch.setenv("DOVETAIL_PROJECT", str(folder))
    return names("dovetail_verb.py")


def test_a_verb_gives_its_documents_and_runs_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verb = ending(tmp_path, monkeypatch, 'echo "{\\"in\\": \\"$PWD\\"}"; echo "[\\"$*\\"]"')
    assert verb["dovetail"]("batch", "sales") == [{"in": str(tmp_path)}, ["batch sales --json"]]


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ('echo \'{"error": {"what": "no Kafka"}, "kind": "ServiceMissing"}\' >&2; exit 3', "Again", "3: no Kafka"),
        ('echo a; echo \'{"error": {"what": "late"}, "kind": "Busy"}\' >&2; exit 1', "Again", "1: late"),
        ('echo \'{"error": {"what": "10 → 1"}, "kind": "GateClosed"}\' >&2; exit 1', "Refused", "1: 10 → 1"),
        (f"echo '{CLOSED}'; exit 1", "Refused", f"1: {CLOSED}"),
        ("echo Traceback >&2; exit 70", "Refused", "70: "),
        ("kill -9 $$", "Again", "-9: "),
    ],
)
def test_a_verb_that_failed_is_tried_again_where_that_is_of_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: str, said: str
) -> None:
    verb = ending(tmp_path, monkeypatch, script)
    with pytest.raises((verb["Again"], verb["Refused"])) as failed:
        verb["dovetail"]("batch")
    assert (failed.typename, str(failed.value)) == (kind, f"dovetail batch: exit code {said}")


def test_a_channel_is_told_what_a_hook_was_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"event": "problem", "verb": "batch", "view": "sales", "kind": "GateClosed", "what": "10 → 1", "next": "x"}
    said = "dovetail batch of sales: 10 → 1\nnext: x"
    with receiver() as channel:
        for url in (channel.address, ""):
            monkeypatch.setenv("ALERT_URL", url)
            monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(event)))
            names("dovetail_alert.py", "__main__")
            assert capsys.readouterr().err == f"alert: {said}\n"
    assert [json.loads(body) for _, body in channel.posted] == [{"text": said}]


@pytest.mark.parametrize("file", ["airflow_dags.py", "dagster_definitions.py"])
def test_each_verb_that_is_run_is_one_with_options_that_it_takes(file: str) -> None:
    tree = ast.parse((FOLDER / file).read_text("utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    runs = [
        call.args for call in calls if call.func.id in ("run", "dovetail") and isinstance(call.args[0], ast.Constant)
    ]  # type: ignore[attr-defined]
    lines = [[str(word.value) if isinstance(word, ast.Constant) else "name" for word in words] for words in runs]
    assert {line[0] for line in lines} == {"batch", "prove", "plan", "reprocess", "promote"}
    assert [wrong for line in lines if (wrong := wrong_with([*line, "--json"]))] == []
