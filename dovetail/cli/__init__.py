"""The command line. Each group of verbs is a module; heavy imports happen inside the verb that needs them."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import typer

from dovetail.cli import (
    access,
    ask,
    care,
    change,
    clean,
    explain,
    feed,
    forget,
    gap,
    importing,
    pause,
    prove,
    push,
    quarantine,
    run,
    start,
    torture,
    trino,
    unlock,
)  # fmt: skip
from dovetail.cli.output import Output, complain, crashed
from dovetail.cli.stack import end_with_parent
from dovetail.shared.errors import DovetailError, ServiceMissing, UsageError

CRASH = 70
WRONG_USE = 2
INTERRUPTED = 130
OF_SPARK = ("pyspark", "psutil")
INSTALL_SPARK = "pip install 'dovetail[spark]'"
ENGINE_GONE = ServiceMissing(
    "Spark's JVM ended, or could not begin", why="killed, or out of memory", next="start it again; nothing is lost"
)

# typer brings its own copy of click, or uses the one installed, depending on its version: ask it which.
ClickException: type[Exception] = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")

app = typer.Typer(
    name="dovetail",
    help="Declare a view once; batch, speed and serving keep it exact.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def common(
    context: typer.Context,
    profile: str | None = typer.Option(None, help=r"Overlay settings from \[profile.NAME].", metavar="NAME"),
) -> None:
    context.obj = profile


for group in (
    start,
    run,
    feed,
    push,
    ask,
    explain,
    prove,
    change,
    importing,
    care,
    access,
    clean,
    forget,
    pause,
    unlock,
    gap,
    quarantine,
    torture,
    trino,
):
    group.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code: 0 good, 1 wrong, 2 wrong use, 3 a service missing, 70 a crash."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json="--json" in given)
    try:
        result = app(args=given, standalone_mode=False, prog_name="dovetail")
    except DovetailError as error:
        complain(output, error)
        return _leave(error.exit_code)
    except ClickException as error:
        return _leave(_wrong_use(output, error))
    except (typer.Abort, KeyboardInterrupt):
        return _leave(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _leave(0)
    except Exception as error:  # noqa: BLE001  the edge: nothing below may show a bare traceback as an answer
        missing = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing in OF_SPARK:
            complain(output, UsageError(f"this verb runs Spark: {missing} is not installed", next=INSTALL_SPARK))
            return _leave(WRONG_USE)
        if _engine_gone(error):
            complain(output, ENGINE_GONE)
            return _leave(ENGINE_GONE.exit_code)
        crashed(output, error)
        return _leave(CRASH)
    return _leave(result if isinstance(result, int) else 0)


def _engine_gone(error: Exception) -> bool:
    """Whether this process had a JVM for Spark and has lost it, in whatever call that was noticed."""
    if "py4j" not in sys.modules:
        return False
    from dovetail.shared.engine import is_gone

    return is_gone(error)


def _wrong_use(output: Output, error: Any) -> int:
    """Says what is wrong with a command line, and which help to read. Without a verb the help was shown already."""
    context = getattr(error, "ctx", None)
    if message := error.format_message():
        verb = context.command_path if context else app.info.name
        complain(output, UsageError(message, next=f"{verb} --help"))
    return WRONG_USE


def _leave(code: int) -> int:
    sys.stdout.flush()
    return code


def entry() -> None:
    faulthandler.register(signal.SIGUSR1)  # kill -USR1 makes it say where all of its threads stand
    end_with_parent()
    sys.exit(main())
