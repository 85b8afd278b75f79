"""What a push has delivered, in a file of its own: written before a delivery and after it, replaced in one step."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from pathlib import Path

import orjson

from dovetail.pushing.changes import Change, Group, Groups, applied, keyed
from dovetail.shared import private
from dovetail.shared.errors import IntegrityError

FORMAT = 1


@dataclass(frozen=True)
class Delivery:
    """The changes that come with one receipt. The same delivery has the same key and the same bytes."""

    push: str
    view: str
    receipt: str
    asked: str
    """The digest of what is asked."""
    changes: tuple[Change, ...]

    @property
    def key(self) -> str:
        return f"{self.push}.{self.receipt}.{self.asked}"

    @property
    def body(self) -> bytes:
        told = {"push": self.push, "view": self.view, "receipt": self.receipt}
        return orjson.dumps({**told, "changes": [change.as_json() for change in self.changes]})


@dataclass(frozen=True)
class State:
    """The groups as they were delivered last, and the delivery that was begun and may have arrived."""

    groups: Groups = field(default_factory=dict)
    receipt: str = ""
    begun: Delivery | None = None

    def begin(self, delivery: Delivery) -> State:
        return State(self.groups, self.receipt, delivery)

    @property
    def ended(self) -> State:
        """With the begun delivery done."""
        if self.begun is None:
            return self
        return State(applied(self.groups, self.begun.changes), self.begun.receipt)


class StateFile:
    """The state of the push `push`, as long as it asks what has the digest `asked`."""

    def __init__(self, path: Path, push: str, view: str, asked: str) -> None:
        self._path, self._of = path, (push, view)
        self._asked = asked

    def read(self) -> State | None:
        """None where nothing was delivered yet, or the push has asked something else.

        Raises:
            IntegrityError: the file cannot be read.
        """
        try:
            kept = orjson.loads(self._path.read_bytes())
            if kept["asked"] != self._asked or kept["format"] != FORMAT:
                return None
            begun = kept["begun"]
            return State(
                keyed(Group(*group) for group in kept["groups"]),
                kept["receipt"],
                begun and self.delivery(begun["receipt"], tuple(Change(*change) for change in begun["changes"])),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IntegrityError(
                f"the state of push {self._of[0]} cannot be read", where=str(self._path), why=str(error),
                next="put it back, or delete it: every group is delivered again then",
            ) from None  # fmt: skip

    def delivery(self, receipt: str, changes: tuple[Change, ...]) -> Delivery:
        return Delivery(*self._of, receipt, self._asked, changes)

    def write(self, state: State) -> None:
        begun = state.begun and {
            "receipt": state.begun.receipt, "changes": [astuple(change) for change in state.begun.changes],
        }  # fmt: skip
        kept = {
            "format": FORMAT, "asked": self._asked, "receipt": state.receipt,
            "groups": [astuple(group) for group in state.groups.values()], "begun": begun,
        }  # fmt: skip
        private.write(self._path, orjson.dumps(kept))
