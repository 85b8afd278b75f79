"""What is done to a stack: each action is one line of text, and a seed gives always the same list of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from dovetail.shared.errors import UsageError, unknown

Kind = Literal["ordered", "late", "repeated", "poison", "large", "committed", "aborted", "skewed"]
Layer = Literal["archive", "speed", "serve"]
Target = Literal["archive", "speed", "serve", "broker", "archive-jvm", "speed-jvm"]
Paused = Literal["archive", "speed", "serve", "broker"]
Writer = Literal["archive", "speed", "broker"]
Torn = Literal["seen", "checkpoint", "manifest"]
VIEWS = ("ids", "lanes", "totals")


@dataclass(frozen=True)
class Action:
    """One thing to do. Its text is its name and its fields: `kill what=speed after=1.25 seed=7`."""

    def __str__(self) -> str:
        return " ".join([type(self).__name__.lower(), *(f"{f.name}={getattr(self, f.name)}" for f in fields(self))])


@dataclass(frozen=True)
class Produce(Action):
    """Sends `count` records and waits until each is acknowledged."""

    kind: Kind
    count: int
    seed: int


@dataclass(frozen=True)
class Kill(Action):
    """kill -9 after so many seconds in which records are sent, then a start at once."""

    what: Target
    after: float
    seed: int


@dataclass(frozen=True)
class Stop(Action):
    """The same by SIGTERM, which must end well."""

    what: Paused
    after: float
    seed: int


@dataclass(frozen=True)
class Pause(Action):
    """SIGSTOP, so many seconds while records are sent to it, SIGCONT."""

    what: Paused
    seconds: float
    seed: int


@dataclass(frozen=True)
class Full(Action):
    """The system takes no byte more for the files of a layer, for so many seconds in which records are sent."""

    what: Writer
    seconds: float
    seed: int


@dataclass(frozen=True)
class Clock(Action):
    """kill -9, then a start with a clock that is so many hours off, until the next start."""

    what: Layer
    hours: float


@dataclass(frozen=True)
class Partition(Action):
    """One more partition, up to six."""


@dataclass(frozen=True)
class Batch(Action):
    """Starts a batch of a view; killed outright after so many seconds, and run again, where that is not 0."""

    view: str
    full: bool
    killed: float


@dataclass(frozen=True)
class Change(Action):
    """Edits a view and puts the new version in place by `batch --full`."""

    heavy: int


@dataclass(frozen=True)
class Schema(Action):
    """Declares one more column of the source, or not, and puts a view that reads so in place by `batch --full`."""

    more: bool


@dataclass(frozen=True)
class Tear(Action):
    """Cuts a file in half: one that is made anew, or one that must be refused until it is put back."""

    what: Torn


@dataclass(frozen=True)
class Settle(Action):
    """Waits until all runs and everything acknowledged is answered."""


def planned(seed: int, count: int) -> list[Action]:
    """The first `count` actions of a seed.

    >>> str(planned(7, 3)[0]) == str(planned(7, 50)[0])
    True
    """
    chance = random.Random(seed)  # noqa: S311  a seed is to give the same again
    makers, weights = zip(*WEIGHTS.items(), strict=True)
    return [chance.choices(makers, weights)[0](chance) for _ in range(count)]


def parsed(line: str) -> Action:
    """The action that a line tells.

    Raises:
        UsageError: it tells none.
    """
    name, *given = line.split()
    kinds = {kind.__name__.lower(): kind for kind in Action.__subclasses__()}
    if name not in kinds:
        raise UsageError(unknown("action", name, kinds))
    types = get_type_hints(kinds[name])
    told = dict(part.partition("=")[::2] for part in given)
    if told.keys() != types.keys():
        raise UsageError(f"'{line}' must give {' '.join(f'{n}=…' for n in types) or 'nothing'} after {name}")
    try:
        return kinds[name](**{n: _value(types[n], text) for n, text in told.items()})
    except ValueError as error:
        raise UsageError(f"'{line}' cannot be read: {error}") from None


def read(text: str) -> list[Action]:
    """The actions of a file: one a line; empty lines and those that begin with # tell nothing."""
    return [parsed(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def written(actions: Sequence[Action]) -> str:
    """The text that `read` reads."""
    return "".join(f"{action}\n" for action in actions)


def _value(kind: object, text: str) -> object:
    if kind is bool:
        if text not in ("True", "False"):
            raise ValueError(f"{text} is neither True nor False")
        return text == "True"
    if kind in (int, float, str):
        return kind(text)
    if text not in get_args(kind):
        raise ValueError(f"{text} is none of {', '.join(get_args(kind))}")
    return text


def _seed(chance: random.Random) -> int:
    return chance.randrange(1_000_000)


def _moment(chance: random.Random, most: float) -> float:
    return round(chance.uniform(0.1, most), 2)


def _produce(chance: random.Random) -> Action:
    kind: Kind = chance.choices(get_args(Kind), (8, 3, 5, 3, 1, 3, 3, 3))[0]
    return Produce(kind, 2 if kind == "large" else chance.randrange(1, 120), _seed(chance))


def _kill(chance: random.Random) -> Action:
    what: Target = chance.choices(get_args(Target), (3, 5, 3, 2, 2, 3))[0]
    return Kill(what, _moment(chance, 4), _seed(chance))


def _batch(chance: random.Random) -> Action:
    killed = _moment(chance, 20) if chance.random() < 0.3 else 0.0
    return Batch(chance.choice(VIEWS), chance.random() < 0.3, killed)


WEIGHTS: dict[Callable[[random.Random], Action], int] = {
    _produce: 40,
    _kill: 22,
    lambda c: Stop(c.choice(get_args(Paused)), _moment(c, 2), _seed(c)): 4,
    lambda c: Pause(c.choice(get_args(Paused)), _moment(c, 6), _seed(c)): 7,
    lambda c: Full(c.choice(get_args(Writer)), _moment(c, 4), _seed(c)): 4,
    lambda c: Clock(c.choice(get_args(Layer)), round(c.uniform(-30, 30), 1)): 3,
    lambda _: Partition(): 2,
    _batch: 8,
    lambda c: Change(c.randrange(5, 95)): 3,
    lambda c: Schema(c.random() < 0.5): 2,
    lambda c: Tear(c.choice(get_args(Torn))): 4,
    lambda _: Settle(): 10,
}
