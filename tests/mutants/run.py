"""Takes out each guard, one at a time, in a copy of the tree, and runs the test that must go red for it."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from mutant import Mutant, Vacuous, applied
from mutants import MUTANTS
from page import ROOT, page

ENDS_S = 1_200.0
"""Seconds after which a test that hangs without its guard is ended."""
SAID = 40
"""Lines of a test's output that are shown where it did not do as expected."""


class Unsound(Exception):
    """Nothing can be told of mutants: a copy is not what is tested, or a test is red without any."""


@dataclass(frozen=True)
class Verdict:
    """What became of a test without its guard. BROKEN is one that could not be collected or set up, or does not end:
    that is no red."""

    mutant: Mutant
    outcome: Literal["red", "SURVIVED", "BROKEN"]
    seconds: float
    said: str

    def __str__(self) -> str:
        return f"{self.outcome:<8}  {self.seconds:6.1f} s  {self.mutant}  {self.mutant.test}"


def main() -> int:
    asked = _asked()
    if asked.table:
        print(page(), end="")
        return 0
    chosen = [m for m in MUTANTS if asked.k in f"{m} {m.file} {m.test}"]
    if not chosen:
        print(f"error  no mutant holds '{asked.k}'", file=sys.stderr)
        return 2
    try:
        with ExitStack() as stack:
            copies = [stack.enter_context(copied()) for _ in range(asked.j)]
            green(copies[0], chosen)
            verdicts = [_told(v, why=asked.why) for v in run(chosen, copies)]
    except (Unsound, Vacuous) as error:
        print(f"error  {error}", file=sys.stderr)
        return 1
    wrong = [v for v in verdicts if v.outcome != "red"]
    print(f"{len(verdicts) - len(wrong)} of {len(verdicts)} mutants red")
    return 1 if wrong else 0


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree, new files too; raises Unsound where its code is not what runs in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder).resolve()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and os.path.lexists(ROOT / name):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
        script = "import dovetail.shared; print(dovetail.shared.__file__)"
        found = _python(copy, "-c", script).stdout.strip()
        if Path(found).resolve() != copy / "shared" / "__init__.py":
            raise Unsound(f"what runs in the copy {copy} is not its own code but {found}")
        yield copy


def green(copy: Path, mutants: Sequence[Mutant]) -> None:
    """Raises Unsound unless every named test passes with all guards in place."""
    tests = list(dict.fromkeys(m.test for m in mutants))
    began = time.monotonic()
    done = _pytest(copy, tests)
    if done.returncode:
        raise Unsound(f"not all named tests pass without a mutant (exit {done.returncode}):\n{_end(done)}")
    print(f"green     {time.monotonic() - began:6.1f} s  all {len(tests)} tests with their guards in place", flush=True)


def run(mutants: Sequence[Mutant], copies: Sequence[Path]) -> Iterator[Verdict]:
    """The verdicts as they come, one at a time in each of the copies."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judged(mutant: Mutant) -> Verdict:
        copy = free.get()
        try:
            return verdict(mutant, copy)
        finally:
            free.put(copy)

    pool = ThreadPoolExecutor(len(copies))
    try:
        for done in as_completed([pool.submit(judged, m) for m in mutants]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def verdict(mutant: Mutant, copy: Path) -> Verdict:
    """Whether the mutant's test goes red in the copy."""
    began = time.monotonic()
    with applied(mutant, copy):
        try:
            done = _pytest(copy, [mutant.test], seconds=ENDS_S)
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "BROKEN", time.monotonic() - began, "    it does not end")
    failed = re.search(r"^FAILED .*", done.stdout, re.MULTILINE)
    # An error in a fixture also ends with 1; a test that cannot be collected with 2 to 5.
    outcome: Literal["red", "SURVIVED", "BROKEN"] = "BROKEN"
    if done.returncode == 1 and failed:
        outcome = "red"
    elif done.returncode == 0:
        outcome = "SURVIVED"
    said = failed[0] if failed else _end(done)
    return Verdict(mutant, outcome, time.monotonic() - began, said)


def _pytest(copy: Path, tests: Sequence[str], *, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    return _python(copy, "-m", "pytest", "-x", "-rf", "--tb=short", *tests, seconds=seconds)


def _python(copy: Path, *arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    # No compiled files: one of the code before could be taken for that of a mutant made within the same second.
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "250"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
    )  # fmt: skip


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(f"    {line}" for line in done.stdout.splitlines()[-SAID:])


def _told(verdict: Verdict, *, why: bool) -> Verdict:
    print(verdict, flush=True)
    if why or verdict.outcome == "BROKEN":
        print(verdict.said, flush=True)
    return verdict


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", default="", metavar="TEXT", help="only mutants whose rule, name, file or test holds it")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="so many at once, each in a copy of its own")
    parser.add_argument("--why", action="store_true", help="say how each test failed")
    parser.add_argument("--table", action="store_true", help="print docs/mutants.md and run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
