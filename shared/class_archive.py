"""An archive of Spark's classes, which its JVM maps at once instead of reading 18,000 of them out of jars.

Java calls it class data sharing. It lies in the jar cache under a digest of all it depends on, is made once, in the
background, and is never needed: where it is missing, or Java will not have it, everything runs as before.
`DOVETAIL_CLASS_ARCHIVE=off` does without.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dovetail.shared.jars import cache
from dovetail.shared.java import Java

CLASSES = Path(__file__).resolve().parent.parent / "conf" / "spark-classes.txt"
KEPT = 3
"""Archives that stay when another is made: one for each environment in use. Each takes 200 MB of disk."""
REFUSED_S = 86_400.0
"""How long nobody tries again after Java could not make one."""
NICENESS = 19
"""Nobody waits for it, so it gets what processor time others leave."""

# The kernel ends it first where memory is short.
# The parent holds the other end of our stdin: whatever ends the parent ends the maker, as with the broker's guardian.
_MAKER = """
niceness=$1; shift
echo 1000 >/proc/self/oom_score_adj
exec 3<&0 </dev/null
nice -n "$niceness" "$@" 3<&- & java=$!
{ read -r _ <&3; kill -9 $java; } & watch=$!
exec 3<&-
wait $java; code=$?
kill $watch
exit $code
"""
KILLED = 128
"""From here on an exit code of a shell's child names a signal."""
_OF_ONE_RUN = ("-Xshare:", "-Xlog:", "-XX:SharedArchiveFile=", "-XX:DumpLoadedClassList=")


@dataclass(frozen=True)
class Program:
    """A JVM as it runs: what an archive for others like it is made with."""

    java: Path
    options: tuple[str, ...]
    class_path: str


@dataclass(frozen=True)
class ClassArchive:
    """The archive for one Java and one class path, made or not: KEY-SIZE.jsa in its folder."""

    folder: Path
    key: str

    def file(self) -> Path | None:
        """The archive, where there is a whole one. Java 17 dies of one that was cut short."""
        for found in self.folder.glob(f"{self.key}-*.jsa"):
            with suppress(OSError):
                if found.name == _name(self.key, found):
                    return found
        return None

    def options(self) -> list[str]:
        """What a JVM is given to use it; nothing while there is none."""
        file = self.file()
        if file is None:
            return []
        with suppress(OSError):
            os.utime(file)  # those that are used are kept
        # Where Java refuses one it says so, though nobody can do anything about it.
        return [f"-XX:SharedArchiveFile={file}", "-Xshare:auto", "-Xlog:cds*=off"]

    def trust(self) -> None:
        """A JVM has started with it."""
        with suppress(OSError):
            self._doubt.unlink(missing_ok=True)

    def doubt(self) -> None:
        """A JVM did not start with it; two in a row, and it is deleted. One alone may have been killed."""
        with suppress(OSError):
            if not self._doubt.exists():
                self._doubt.touch()
                return
            for found in self.folder.glob(f"{self.key}-*.jsa"):
                found.unlink(missing_ok=True)
            self._doubt.unlink(missing_ok=True)

    def wanted(self) -> bool:
        """Whether it is still to be made."""
        return self.file() is None and not _refused_lately(self._refusal)

    def make_beside(self, program: Program) -> threading.Thread:
        """Makes it in the background; the end of this process ends that, too."""
        thread = threading.Thread(target=self.make, args=(program,), daemon=True, name="class archive")
        thread.start()
        return thread

    def make(self, program: Program) -> bool:
        """Makes it from the list of classes; False where another process does, or it cannot be made."""
        with suppress(OSError), _alone(self.folder) as mine:
            if not mine or not self.wanted():
                return False
            for left in self.folder.glob("*.draft"):  # by a killed process: the lock is ours now
                left.unlink()
            draft = self.folder / f"{self.key}.draft"
            code = _run(_dump(program, draft))
            if code == 0 and draft.is_file():
                _publish(draft, self.key)
                return True
            draft.unlink(missing_ok=True)
            if 0 < code < KILLED:  # Java refused; a signal says nothing about the next time
                self._refusal.touch()
        return False

    @property
    def _doubt(self) -> Path:
        return self.folder / f"{self.key}.doubt"

    @property
    def _refusal(self) -> Path:
        return self.folder / f"{self.key}.refused"


def class_archive(java: Java, class_path: Iterable[Path | str]) -> ClassArchive | None:
    """The archive for this Java and these jars, as they are now; None where the user wants none."""
    if os.environ.get("DOVETAIL_CLASS_ARCHIVE", "").lower() in ("off", "0", "no", "false"):
        return None
    seen = [java.build, str(java.executable.resolve()), CLASSES.read_text("utf-8"), *map(_shape, class_path)]
    key = hashlib.sha256("\n".join(seen).encode()).hexdigest()[:20]
    return ClassArchive(cache() / "classes", key)


def _name(key: str, archive: Path) -> str:
    return f"{key}-{archive.stat().st_size}.jsa"


def _shape(entry: Path | str) -> str:
    """What tells one content of a jar from another without reading it; Java itself looks at the same."""
    try:
        state = Path(entry).stat()
    except OSError:
        return f"{entry} -"
    return f"{entry} {state.st_size} {state.st_mtime_ns}"


def _refused_lately(note: Path) -> bool:
    try:
        return time.time() - note.stat().st_mtime < REFUSED_S
    except OSError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this is the only process that makes one; the others do not wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _dump(program: Program, into: Path) -> list[str]:
    kept = [option for option in program.options if not option.startswith(_OF_ONE_RUN)]
    made = ["-Xshare:dump", f"-XX:SharedClassListFile={CLASSES}", f"-XX:SharedArchiveFile={into}", "-Xlog:disable"]
    return [str(program.java), *kept, *made, "-cp", _archivable(program.class_path)]


def _archivable(class_path: str) -> str:
    """Without the folders at its end, such as Hadoop's settings: Java archives none, and takes what is added there."""
    entries = class_path.split(os.pathsep)
    while entries and not entries[-1].endswith(".jar"):
        entries.pop()
    return os.pathsep.join(entries)


def _run(command: Sequence[str]) -> int:
    quiet = subprocess.DEVNULL
    maker = ["/bin/sh", "-c", _MAKER, "dovetail-classes", str(NICENESS), *command]
    with subprocess.Popen(maker, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as process:
        return process.wait()


def _publish(draft: Path, key: str) -> None:
    with draft.open("rb") as written:
        os.fsync(written.fileno())  # a name must not outlive a power cut that its bytes do not
    draft.replace(draft.with_name(_name(key, draft)))
    made = sorted(draft.parent.glob("*.jsa"), key=lambda other: other.stat().st_mtime, reverse=True)
    for old in made[KEPT:]:
        old.unlink()
