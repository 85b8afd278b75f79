"""Every error Dovetail raises, in one tree.

DovetailError                 what, where, why, and the next command
├── Mend                      something must be put right by a person; trying again gives the same
│   ├── UsageError            exit 2: the question or the command is wrong
│   │   ├── DeclarationError  a source, view or transform is declared wrongly (file and line)
│   │   ├── SettingsError     dovetail.toml or a DOVETAIL__ variable
│   │   └── QueryError        a query names what is not there, or asks what the bucket cannot answer
│   ├── UserCodeError         the user's transform raised (view, layer, range; their traceback is the cause)
│   ├── RuleBroken            exit 1: a record or a commit breaks a rule that says fail
│   ├── GateClosed            exit 1: what would answer differs from what answers by more than a gate lets pass
│   └── IntegrityError        exit 1: books that do not balance, a gap, an overlap, a torn table: stop, never guess
└── Retry                     trying again may help
    ├── ServiceMissing        exit 3: Java, Kafka, a port, a disk: something needed is not there
    ├── Busy                  exit 1: another process owns the table, or got there first
    ├── NotYet                exit 1: the answer asked for does not exist yet
    └── Paused                exit 1: a person has paused the layer
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_UNRESOLVED = re.compile(r"\[UNRESOLVED_COLUMN[^\]]*\].*? with name `(.+?)` cannot be resolved", re.DOTALL)


class DovetailError(Exception):
    """What went wrong, where, why, and the next command to type.

    Args:
        what: one sentence with the value received.
        where: a file and line, a setting, a table, a position.
        why: the cause, when it is not plain from `what`.
        next: the command or edit that helps.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:  # noqa: A002
        super().__init__(what)
        self.what, self.where, self.why, self.next = what, where, why, next

    def __str__(self) -> str:
        parts = [self.what, self.where and f"where: {self.where}", self.why and f"why: {self.why}"]
        return "\n  ".join([p for p in parts if p] + ([f"next: {self.next}"] if self.next else []))


class Mend(DovetailError):
    """A person must put something right; trying again gives the same."""


class UsageError(Mend):
    """The question or the command is wrong."""

    exit_code = 2


class DeclarationError(UsageError):
    """A source, view or transform is declared wrongly; `where` is the user's file and line."""


class SettingsError(UsageError):
    """dovetail.toml or a DOVETAIL__ variable holds something that cannot be used."""


class QueryError(UsageError):
    """A query names what is not there, or asks what the stored buckets cannot answer."""


class UserCodeError(Mend):
    """The user's transform raised; the traceback of the cause is theirs."""


class RuleBroken(Mend):
    """A record or a commit breaks a rule that says `fail`; the message names it."""


class GateClosed(Mend):
    """What would answer differs from what answers by more than a gate of the view lets pass."""


class IntegrityError(Mend):
    """Books that do not balance, a gap, an overlap, a torn table: Dovetail stops rather than guess."""


class Retry(DovetailError):
    """Trying again may help."""


class ServiceMissing(Retry):
    """Java, Kafka, a port, a disk: something that is needed is not there."""

    exit_code = 3


class Busy(Retry):
    """Another process owns the table, or got there first."""


class NotYet(Retry):
    """The answer asked for does not exist yet."""


class Paused(Retry):
    """A person has paused the layer; `next` resumes it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not there, with the closest one that is.

    >>> unknown("measure", "revenu", ["lines", "revenue"])
    "unknown measure 'revenu': did you mean 'revenue'? Known: lines, revenue"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" did you mean '{close[0]}'?" if close else ""
    return f"unknown {kind} '{name}':{hint} Known: {', '.join(names) or 'none'}".replace(": Known", ". Known")


def engine_message(error: Exception, columns: Iterable[str]) -> str:
    """What the engine, or a user's function, said in one line; for a column that is not there, with those that are.

    >>> engine_message(ValueError("mine"), [])
    'ValueError: mine'
    """
    text = str(error).strip() or type(error).__name__
    if missing := _UNRESOLVED.search(text):
        return unknown("column", missing[1].replace("`.`", "."), columns)
    first = text.splitlines()[0].partition(" SQLSTATE")[0]
    return first if text.startswith("[") else f"{type(error).__name__}: {first}"
