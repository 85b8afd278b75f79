"""The command line as a whole: help in groups, --json everywhere, one exit code for one kind of thing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import typer

from dovetail import cli
from dovetail.cli import app
from dovetail.shared.errors import Busy, IntegrityError, NotYet, QueryError, ServiceMissing, SettingsError

from .conftest import Run

GOLDEN = Path(__file__).parent / "golden"
VERBS = {c.name or c.callback.__name__: c for c in app.registered_commands if c.callback}
VERBS |= {f"{g.name} {c.name}": c for g in app.registered_groups for c in g.typer_instance.registered_commands}
WRITES = (
    "init",
    "batch",
    "send",
    "load",
    "quarantine export",
    "quarantine resend",
    "accept-gap",
    "torture",
    "pause",
    "resume",
    "clean",
    "unlock",
    "access grant",
    "access drop",
    "access key",
    "access rotate",
    "access revoke",
    "push",
    "feed",
    "reprocess",
    "promote",
    "rollback",
    "import",
    "forget",
    "trino sync",
)


def golden(name: str, text: str) -> None:
    """Compares with a kept text; `UPDATE_GOLDEN=1` keeps the new one, to be looked at in the diff."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def help_text(verb: str) -> str:
    """What a verb says of itself; how it is laid out is typer's, and differs from one release to the next."""
    command = typer.main.get_command(app)
    for name in verb.split():
        command = command.commands[name]  # type: ignore[attr-defined]
    parameters = [f"  {' '.join(p.opts):<14}  {p.help}" for p in command.params if p.name != "help"]
    return "\n".join([f"dovetail {verb}", "", command.help, "", *parameters, ""])


def test_every_verb_of_the_first_release_is_there() -> None:
    wanted = (
        "init check doctor dev demo kafka archive speed batch serve status query trace why prove send load accept-gap "
        "torture"
    )
    assert set(wanted.split()) <= set(VERBS)


def test_help_shows_the_verbs_in_their_groups(run: Run) -> None:
    said = run("--help")
    assert said.code == 0
    titles = [line.split("─ ")[1].split(" ─")[0] for line in said.out.splitlines() if line.startswith("╭─ ")]
    assert titles == ["Options", "Start", "Run", "Ask", "Change", "Care"]
    for verb in VERBS:
        assert f"│ {verb.split()[0]} " in said.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(run: Run, verb: str) -> None:
    said = run(*verb.split(), "--help")
    assert said.code == 0
    assert f"Usage: dovetail {verb}" in said.out
    assert "--json" in said.out


@pytest.mark.parametrize("verb", WRITES)
def test_every_verb_that_writes_has_a_dry_run(run: Run, verb: str) -> None:
    assert "--dry-run" in run(*verb.split(), "--help").out


@pytest.mark.parametrize(
    "verb",
    [
        "init",
        "check",
        "doctor",
        "status",
        "query",
        "sql",
        "trace",
        "why",
        "send",
        "load",
        "accept-gap",
        "torture",
        "pause",
        "resume",
        "clean",
        "unlock",
        "push",
        "feed",
        "forget",
        *(v for v in VERBS if v.startswith(("quarantine ", "access "))),
    ],
)
def test_help_reads_as_kept(verb: str) -> None:
    golden(f"help-{verb.replace(' ', '-')}", help_text(verb))


@pytest.mark.parametrize(
    ("arguments", "says", "next_"),
    [
        (["nope"], "No such command 'nope'.", "dovetail --help"),
        (["speed", "--nope"], "No such option: --nope", "dovetail speed --help"),
        (["query"], "Missing argument", "dovetail query --help"),
        (["query", "sales", "--limit", "0"], "Invalid value for '--limit': ",
         "dovetail query --help"),
        (["query", "sales", "--where", "FR"], "Invalid value for --where: 'FR' is not KEY=VALUE",
         "dovetail query --help"),
    ],
)  # fmt: skip
def test_a_broken_command_line_is_exit_2_with_the_help_to_read(
    run: Run, project: Path, arguments: list[str], says: str, next_: str
) -> None:
    said = run(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error  {says}")  # the rest is typer's, and differs from one release to the next
    assert said.err.endswith(f"\n next  {next_}\n")


def test_with_json_an_error_is_one_document_on_stderr(run: Run) -> None:
    said = run("nope", "--json")
    assert (said.code, said.out) == (2, "")
    assert orjson.loads(said.err) == {
        "error": {"what": "No such command 'nope'.", "next": "dovetail --help"},
        "kind": "UsageError",
    }


def test_no_verb_shows_the_help_and_is_wrong_use(run: Run) -> None:
    said = run()
    assert said.code == 2
    assert "Usage: dovetail" in said.out + said.err


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (QueryError("x"), 2),
        (SettingsError("x"), 2),
        (ServiceMissing("x"), 3),
        (Busy("x"), 1),
        (NotYet("x"), 1),
        (IntegrityError("x"), 1),
        (ZeroDivisionError("x"), 70),
        (KeyboardInterrupt(), 130),
        (typer.Exit(3), 3),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("dovetail.shared.check.look", fail)
    said = run("check")
    assert said.code == code
    assert ("Traceback" in said.err) == (code == 70)


def test_an_error_says_what_where_why_and_what_next(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise Busy("the oven is [hot]", where="the kitchen", why="someone bakes", next="wait")

    monkeypatch.setattr("dovetail.shared.check.look", fail)
    assert run("check").err == ("error  the oven is [hot]\nwhere  the kitchen\n  why  someone bakes\n next  wait\n")


def test_colours_are_left_out_where_nobody_wants_them(project: Path) -> None:
    def ask(**env: str) -> str:
        shown = subprocess.run(
            [sys.executable, "-m", "dovetail", "check"],
            cwd=project,
            env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm", **env},
            capture_output=True,
            text=True,
        )
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    assert "\x1b[" in ask(NO_COLOR="")
    assert "\x1b[3" not in ask(NO_COLOR="1")


def test_a_reader_that_goes_away_is_no_crash(project: Path) -> None:
    line = f"{sys.executable} -m dovetail check | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=project, capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_without_a_project_every_verb_that_needs_one_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in (
        ["check"],
        ["status"],
        ["query", "sales"],
        ["sql", "SELECT a FROM v"],
        ["send", "lines", "{}"],
        ["load", "lines", "-"],
        ["speed"],
        ["quarantine", "list"],
    ):
        said = run(*line)
        assert (said.code, said.out) == (2, ""), line
        assert said.err == f"error  no dovetail.toml in {tmp_path} or above\n next  dovetail init NAME\n"


def test_an_unknown_setting_is_refused_by_name(run: Run, project: Path) -> None:
    (project / "dovetail.toml").write_text('[kafka]\nbootstap = "localhost:9092"\n')
    for line in (["check"], ["status"], ["speed"], ["query", "sales"]):
        said = run(*line)
        assert said.code == 2
        assert said.err == (
            "error  unknown key in [kafka]: 'bootstap': did you mean 'bootstrap'? Known: bootstrap, options,"
            f" partitions, port\nwhere  {project}/dovetail.toml: kafka.bootstap\n"
        )


def test_a_profile_that_is_not_there_is_refused(run: Run, project: Path) -> None:
    said = run("--profile", "prod", "check")
    assert said.code == 2
    assert said.err.startswith("error  unknown profile 'prod'. Known: none\n")


def test_the_command_is_installed_under_its_name() -> None:
    assert cli.entry.__module__ == "dovetail.cli"
    done = subprocess.run([sys.executable, "-m", "dovetail", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
