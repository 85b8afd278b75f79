"""Feeds what there is, part by part, and what comes, until it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event

from dovetail.feeding import marks as kept
from dovetail.feeding import shape as shapes
from dovetail.feeding.parts import Marks, Part, Reader
from dovetail.feeding.write import Writer
from dovetail.shared.errors import Mend, UsageError, unknown
from dovetail.shared.failpoints import failpoint
from dovetail.shared.feed import Feed, Files, Rest, Table
from dovetail.shared.log import Log
from dovetail.shared.options import resolved
from dovetail.shared.produce import doubts
from dovetail.shared.project import Project

SHAPE = "shape"


@dataclass
class Fed:
    """What has been fed, or would be."""

    records: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Told:
    """Who is told what happens."""

    fed: Callable[[Part], None] = lambda _: None
    ready: Callable[[], None] = lambda: None
    doubt: Callable[[str], None] = lambda _: None


@dataclass
class Feeding:
    """One feed at work. `stop` ends it between two parts; `new_shape` lets what is fed have changed its columns."""

    feed: Feed
    reader: Reader
    new_shape: bool = False
    told: Told = field(default_factory=Told)
    stop: Event = field(default_factory=Event)

    def run(self, writer: Writer, *, once: bool) -> Fed:
        """Feeds until it is stopped, or with `once` what there is now.

        Raises:
            Mend: what is fed from is not what it was, or holds a row that may not be fed; nothing of its part is sent.
            DovetailError: as of the reader and the writer.
        """
        done = Fed()
        self.told.ready()
        while True:
            self._look(writer.marks, writer.write, done)
            if once and self.reader.settle and not self.stop.wait(self.reader.settle):
                self._look(writer.marks, writer.write, done)
            if once or self.stop.wait(self.feed.every_seconds):
                return done

    def due(self, marks: dict[str, object]) -> Fed:
        """What would be fed now; nothing is written."""
        done = Fed()
        for wait in (0.0, self.reader.settle):
            self.stop.wait(wait)
            self._look(marks, lambda part: marks.update(part.marks), done)
        return done

    def _look(self, marks: Marks, write: Callable[[Part], None], done: Fed) -> None:
        for part in self.reader.parts(marks):
            if self.stop.is_set():
                return
            failpoint("feed.read")
            write(self._checked(part, marks))
            done.records += len(part.rows)
            done.bad += sum(bool(row.bad) for row in part.rows)
            self.told.fed(part)

    def _checked(self, part: Part, marks: Marks) -> Part:
        known, columns = marks.get(SHAPE), {*self.feed.source.columns, *self.feed.key}
        if known is None:
            for doubt in doubts(self.feed.source, part.shape) if part.shape else ():
                self.told.doubt(doubt)
        elif part.shape and (changed := shapes.changes(known, part.shape)) and not self.new_shape:
            raise Mend(
                f"what {self.feed.name} feeds has changed its shape: {'; '.join(changed)}", where=part.of,
                why="nothing of it is sent; what was fed before is in the log",
                next=f"mend it, or take it as it is now: dovetail feed {self.feed.name} --new-shape",
            )  # fmt: skip
        for name in self.feed.key if part.shape else ():
            if name not in part.shape and shapes.OPTIONAL not in (known or {}).get(name, ()):
                raise Mend(
                    unknown("column", name, part.shape), where=part.of,
                    why="it is the key of this feed; nothing is sent, for records without one are in no order",
                    next=f"mend it, or correct key= of {self.feed.name}",
                )  # fmt: skip
        for row in part.rows:
            if row.bad and self.feed.bad == "stop":
                raise Mend(row.bad, where=row.place, why="nothing of its part is sent", next="mend it, then feed again")
        now = shapes.joined({} if self.new_shape else known or {}, part.shape, columns)
        return part if now == known or not part.shape else replace(part, marks={**part.marks, SHAPE: now})


def reader_of(project: Project, name: str, stop: Event, waiting: Callable[[str], None]) -> Reader:
    """What a feed reads from. Raises ServiceMissing where it is not there, UsageError where its client is not."""
    feed, folder = project.feed(name), project.settings.folder
    where = f"feed {name} ({feed.where}):"
    if isinstance(feed, Files):
        from dovetail.feeding.files import FilesReader

        return FilesReader(feed, folder / feed.folder)
    if isinstance(feed, Rest):
        from dovetail.feeding.rest import RestReader

        return RestReader(feed, resolved(feed.headers, folder=folder, where=where), sleep=stop.wait)
    if not isinstance(feed, Table):
        raise TypeError(f"{feed!r} is no feed that can be read")
    try:
        from dovetail.feeding.table import TableReader
    except ImportError:
        raise UsageError("psycopg is not installed", where=where, next="pip install 'dovetail[feed]'") from None
    return TableReader(feed, resolved({"url": feed.url}, folder=folder, where=where)["url"], waiting)


def marks_of(log: Log, feed: Feed) -> dict[str, object]:
    """How far a feed has come, without stopping whoever feeds it."""
    return kept.read(log, feed, log.extent(feed.source.topic))
