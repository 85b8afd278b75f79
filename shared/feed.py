"""What a user declares to be fed into the log: files of a folder, a table of PostgreSQL, the pages of a REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from dovetail.shared.caller import caller
from dovetail.shared.declare import NAME, TOPIC, Source
from dovetail.shared.duration import parse
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.formats import refuse_unless_json
from dovetail.shared.options import REFERENCE
from dovetail.shared.push import is_here

Form = Literal["jsonl", "csv", "parquet"]
Bad = Literal["quarantine", "stop"]
FORMS, BADS = ("jsonl", "csv", "parquet"), ("quarantine", "stop")


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Where records of a source come from that is not Kafka; made by `files`, `table` or `rest`."""

    name: str
    source: Source
    key: tuple[str, ...]
    bad: Bad
    every: str
    where: str = field(compare=False)

    @property
    def id(self) -> str:
        """Its transactional id, and the topic that keeps how far it has read."""
        return f"{self.source.topic}.feed.{self.name}"

    @property
    def of(self) -> list[Any]:
        """What its marks are of: those of another are no use."""
        raise NotImplementedError

    @property
    def every_seconds(self) -> float:
        return parse(self.every).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Files(Feed):
    """The files of a folder."""

    folder: str
    format: Form
    quiet: str

    @property
    def of(self) -> list[Any]:
        return ["files", self.format]

    @property
    def quiet_seconds(self) -> float:
        return parse(self.quiet).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Table(Feed):
    """The rows of a table of PostgreSQL, as they change."""

    url: str = field(repr=False)
    table: str
    changed: str
    lag: str

    @property
    def of(self) -> list[Any]:
        return ["table", self.table, [*self.key], self.changed]

    @property
    def lag_seconds(self) -> float:
        return parse(self.lag).total_seconds()


@dataclass(frozen=True, kw_only=True)
class Rest(Feed):
    """The items of an API, page after page."""

    url: str = field(repr=False)
    items: str
    next: str
    cursor: str
    rate: float | None
    headers: Mapping[str, str]

    @property
    def of(self) -> list[Any]:
        return ["rest", self.url, self.items, self.next, self.cursor]


def files(
    name: str,
    *,
    source: Source,
    folder: str,
    format: Form = "jsonl",  # noqa: A002
    key: str | None = None,
    quiet: str = "2s",
    bad: Bad = "quarantine",
    every: str = "5s",
) -> Files:
    """Declares that the files that arrive in a folder are fed into a source's topic, each once.

    Files are taken in the order of their names, also those of folders below; names that begin with `.` or `_`, and
    others than `.jsonl`, `.json`, `.ndjson`, `.csv` or `.parquet` by the format, are left alone. A file is never read
    again: one that is another than it was when it was fed stops the feed.

    Args:
        name: how `dovetail feed` calls it.
        source: whose topic they go to.
        folder: where they arrive; relative to the project.
        format: jsonl (a JSON object a line), csv (with a header) or parquet.
        key: the column that becomes Kafka's key, which decides the partition.
        quiet: how long a file must not have changed before it is read; "0s" where files are renamed into place.
        bad: what becomes of a row that the source cannot decode: it goes into the log as it is, where quarantine shows
            it, or it stops the feed before anything of its part is sent.
        every: how often the folder is looked at.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    _check(name, source, bad, where, every=every, quiet=quiet)
    if format not in FORMS:
        raise DeclarationError(f"feed {name}: {unknown('format', format, FORMS)}", where=where)
    keys = (key,) if key else ()
    return Files(
        name=name, source=source, key=keys, bad=bad, every=every, where=where, folder=folder, format=format, quiet=quiet
    )


def table(
    name: str,
    *,
    source: Source,
    url: str,
    table: str,
    key: str | Sequence[str],
    changed: str,
    lag: str = "1s",
    bad: Bad = "quarantine",
    every: str = "5s",
) -> Table:
    """Declares that the rows of a PostgreSQL table are fed into a source's topic whenever they change.

    A row is fed with all its columns as PostgreSQL writes them in JSON. What it was between two looks, and that a row
    is deleted, is not seen: `dv.changes()` reads those from the database's own log.

    Args:
        name: how `dovetail feed` calls it.
        source: whose topic they go to.
        url: `postgresql://user@host/database`, or a reference to it, `env:NAME` or `file:PATH`, if it holds a password.
        table: its name, or that of a view, as in "shop.orders".
        key: the columns that name a row; they become Kafka's key.
        changed: the column of type timestamptz that the database sets to now() when it writes a row; indexed with key.
        lag: rows changed less than this ago wait; more than a second where clocks of others set `changed`.
        bad, every: as of `files`.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    _check(name, source, bad, where, every=every, lag=lag)
    keys = (key,) if isinstance(key, str) else tuple(key)
    if not keys:
        raise DeclarationError(f"feed {name}: key names no column", where=where)
    parts = urlsplit(url)
    if not REFERENCE.fullmatch(url) and (parts.scheme not in ("postgresql", "postgres") or parts.password):
        raise DeclarationError(
            f"feed {name}: url is postgresql://user@host/database without a password, or a reference",
            where=where, next="url='env:NAME' or 'file:PATH'",
        )  # fmt: skip
    return Table(
        name=name, source=source, key=keys, bad=bad, every=every, where=where,
        url=url, table=table, changed=changed, lag=lag,
    )  # fmt: skip


def rest(
    name: str,
    *,
    source: Source,
    url: str,
    items: str = "",
    next: str = "",  # noqa: A002
    cursor: str = "",
    rate: float | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    bad: Bad = "quarantine",
    every: str = "10s",
) -> Rest:
    """Declares that the items of a REST API are fed into a source's topic, each once, page after page.

    Pages only grow at their end: of a page that is not full yet the items that were fed come first again, unchanged;
    else the feed stops. 429 and 5xx are waited for, as long as `Retry-After` says.

    Args:
        name: how `dovetail feed` calls it.
        source: whose topic they go to.
        url: of the first page; https, or http on this machine or without headers.
        items: the field of a page that holds its items, as in "data" or "result.rows"; empty: the page is the list.
        next: the field that holds the next page's address; empty: the header `Link` with rel="next" does.
        cursor: the parameter of `url` that `next`, which is no address then, is given as.
        rate: requests a second at most.
        headers: sent with each request; secrets by reference, as in {"Authorization": "env:NAME"}.
        key: the field that becomes Kafka's key.
        bad, every: as of `files`.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where = caller()
    _check(name, source, bad, where, every=every)
    parts, sent = urlsplit(url), dict(headers or {})
    secure = parts.scheme == "https" or (parts.scheme == "http" and (not sent or is_here(parts.hostname or "")))
    if not parts.hostname or not secure:
        why = f"feed {name}: url is https://…, or http:// on this machine or without headers"
        raise DeclarationError(why, where=where)
    if parts.password:
        raise DeclarationError(f"feed {name}: url holds a password", where=where, next="headers={…: 'env:NAME'}")
    for header, value in sent.items():
        if any(word in header.lower() for word in ("auth", "key", "token", "secret", "cookie")) and not (
            REFERENCE.fullmatch(value)
        ):
            raise DeclarationError(
                f"feed {name}: header {header} is a secret written out", where=where, next=f"{header}: 'env:NAME'"
            )
    if rate is not None and not rate > 0:
        raise DeclarationError(f"feed {name}: rate={rate} is no number of requests a second", where=where)
    keys = (key,) if key else ()
    return Rest(
        name=name, source=source, key=keys, bad=bad, every=every, where=where,
        url=url, items=items, next=next, cursor=cursor, rate=rate, headers=sent,
    )  # fmt: skip


def _check(name: str, source: Source, bad: str, where: str, **lengths: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(
            f"feed {name!r}: a name is a lower-case letter, then lower-case letters, digits and _", where=where
        )
    if not isinstance(source, Source):
        raise DeclarationError(f"feed {name}: source must be a dv.source, not {source!r}", where=where)
    refuse_unless_json(source.format, f"feed {name}", where=where, next="feed a source of JSON")
    if bad not in BADS:
        raise DeclarationError(f"feed {name}: bad: {unknown('choice', bad, BADS)}", where=where)
    if not TOPIC.fullmatch(f"{source.topic}.feed.{name}"):
        raise DeclarationError(f"feed {name}: with its topic's its name is longer than 249", where=where)
    for argument, text in lengths.items():
        try:
            seconds = parse(text).total_seconds()
        except DeclarationError as error:
            raise DeclarationError(f"feed {name}: {argument}: {error.what}", where=where) from None
        if argument == "every" and seconds < 0.05:  # as often as a push may be
            raise DeclarationError(f"feed {name}: every={text} is less than 50ms", where=where)
