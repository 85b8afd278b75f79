"""Logs: one line a record whatever is in it, of bounded length, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dovetail.shared import secrets
from dovetail.shared.logs import MOST, JsonLines, TextLines
from dovetail.shared.options import resolved
from dovetail.shared.secrets import know, redacted

EVIL = 'a\r\n{"level":"info"}\x1b]0;title\x07\x1b[31m\x9b31m\u2028\u2029\u202e\x00\x7f\ud800'
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ud800]")
CANARY = 'canary "x"/\\ é+%'


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())


def logged(message: object, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("dovetail.x", logging.ERROR, "x.py", 1, message, args, info)  # type: ignore[arg-type]


def line(message: object, *args: object, error: BaseException | None = None) -> dict[str, Any]:
    said = JsonLines().format(logged(message, *args, error=error))
    assert not OBEYED.search(said)
    found: dict[str, Any] = json.loads(said)
    assert all(len(value) <= MOST for value in found.values())
    return found


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_record_is_one_line_with_a_time_a_level_a_logger_and_a_message() -> None:
    found = line("%s of %d", "one", 2)
    time = found.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert found == {"level": "error", "logger": "dovetail.x", "message": "one of 2"}


def test_what_a_terminal_or_a_reader_of_lines_would_obey_is_escaped_and_nothing_is_lost() -> None:
    assert line("%s", EVIL)["message"] == EVIL.replace("\ud800", "\\ud800")
    text = TextLines().format(logged("%s", EVIL))
    assert not OBEYED.search(text)
    assert text.startswith(r'error: dovetail.x: a\u000d\u000a{"level":"info"}\u001b]0;title\u0007')


def test_an_error_has_its_type_and_its_stack_in_one_string() -> None:
    found = line("it failed", error=raised(ValueError(EVIL)))
    assert found["exception"] == "ValueError"
    assert found["stack"].startswith("Traceback (most recent call last):\n")
    assert 'ValueError: a\r\n{"level"' in found["stack"]
    text = TextLines().format(logged("it failed", error=raised(ValueError(EVIL))))
    assert not OBEYED.search(text.replace("\n", ""))
    assert 'ValueError: a\\u000d\n{"level"' in text


def test_a_field_is_cut_the_end_of_a_stack_is_kept() -> None:
    found = line("x" * 50_000, error=raised(ValueError("y" * 50_000 + "the end")))
    assert found["message"] == "x" * (MOST - 1) + "…"
    assert found["stack"].endswith("ythe end\n")
    assert len(found["stack"]) == MOST


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    assert line("%d of %s", "one")["message"] == "%d of %s ('one',)"


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_a_secret_that_came_by_reference_is_in_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: logging.Formatter
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    (tmp_path / "key.pem").write_text("-----BEGIN-----\nfirstline\nsecondline\n")
    jaas = 'Module required username="nobody" password="s3same";'
    (tmp_path / "jaas").write_text(jaas)
    given = {"a": "env:CANARY", "b": "file:key.pem", "c": "plain", "d": "file:jaas"}
    found = resolved(given, folder=tmp_path, where="here")
    for said in (
        f"options {found}", CANARY, json.dumps(found), "at canary+%22x%22%2F%5C+%C3%A9%2B%25", "key secondline",
        "password s3same", "x" * (MOST - 11) + CANARY, jaas,
    ):  # fmt: skip
        text = form.format(logged("%s", said, error=raised(RuntimeError(said))))
        assert not re.search("canary|firstline|secondline|s3same", text), said
        assert "plain" in form.format(logged("plain"))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("GET /\r\nAuthorization: Basic dTpw\r\nHost: x", "GET /\r\nAuthorization: [redacted]\r\nHost: x"),
        ("{'Authorization': 'Digest a=\"b\", c', 'x': 1}", "{'Authorization': [redacted], 'x': 1}"),
        ("[(b'authorization', b'Bearer abc'), (b'x', b'y')]", "[(b'authorization', [redacted]), (b'x', b'y')]"),
        ('{"proxy-authorization": "x y"}', '{"proxy-authorization": [redacted]}'),
        (r"{\"authorization\": \"Bearer abc\"}", r"{\"authorization\": [redacted]"),
        ("sent bearer abcdefgh.1-2", "sent bearer [redacted]"),
        ("key dvt_live_9f-3.Z, and the bearer of it", "key [redacted], and the bearer of it"),
        ("access needs authorization, as ever", "access needs authorization, as ever"),
    ],
)  # fmt: skip
def test_what_has_the_shape_of_a_secret_is_taken_out(said: str, left: str) -> None:
    assert redacted(said) == left


def test_the_longer_of_two_secrets_goes_whole_and_a_tiny_one_stays() -> None:
    assert [know(s) for s in ("abcd", "abcdefgh", "e")] == ["abcd", "abcdefgh", "e"]
    assert redacted("the abcdefgh") == "the [redacted]"


PROGRAM = """
import logging, sys, threading, warnings
from dovetail.shared import logs
logs.start(sys.argv[1])
logging.getLogger("dovetail.cli").setLevel(logging.INFO)
logging.getLogger("dovetail.cli").info("told")
logging.getLogger("dovetail.other").info("not told")
logging.getLogger("py4j").warning("of a client")
logging.getLogger("kafka").error("raised too")
warnings.warn("of Python")
died = threading.Thread(target=lambda: 1 / 0)
died.start()
died.join()
"""


def test_everything_on_stderr_is_a_json_line_warnings_and_threads_that_die_too() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "json"], capture_output=True, text=True, check=True)
    told = [json.loads(one) for one in done.stderr.splitlines()]
    assert [(t["level"], t["logger"]) for t in told] == [
        ("info", "dovetail.cli"),
        ("warning", "py4j"),
        ("warning", "py.warnings"),
        ("critical", "dovetail.shared.logs"),
    ]
    assert told[-1]["exception"] == "ZeroDivisionError"


def test_text_is_a_line_with_level_and_logger() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, "text"], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[:2] == ["info: dovetail.cli: told", "warning: py4j: of a client"]


def test_secrets_may_be_learnt_while_others_log() -> None:
    stop, failed = threading.Event(), list[BaseException]()

    def learn() -> None:
        for n in range(3000):
            know(f"secret-{n}")
        stop.set()

    def log() -> None:
        try:
            while not stop.is_set():
                redacted("nothing")
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for work in (learn, log)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
