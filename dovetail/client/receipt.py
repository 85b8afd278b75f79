"""What an answer says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Behind:
    """How far an answer is behind the end of the log; None is not known."""

    records: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        if self.records == 0:
            return "nothing behind"
        return "how far behind is not known" if self.seconds is None else f"{self.seconds:,.1f} s behind"


@dataclass(frozen=True)
class Receipt:
    """What an answer is made of. The same receipt is the same answer: ask for it again with `as_of=receipt.id`.

    `cut` and `position` are offsets by partition, exclusive: batch owns what lies below the cut, and every record below
    the position is counted; with a `layer`, of what that one alone holds. `next` is the cursor of the page that follows
    where `more` is true. `raw` is the receipt as the server sent it.
    """

    id: str
    view: str
    version: str
    runs: tuple[str, ...]
    cut: Mapping[int, int]
    position: Mapping[int, int]
    seq: int | None
    behind: Behind
    quarantined: int
    failed: int
    gaps: tuple[Mapping[str, Any], ...]
    complete: bool
    approximate: tuple[str, ...]
    dimensions: Mapping[str, Mapping[str, Any]]
    more: bool
    next: str | None
    layer: str | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Receipt:
        """Raises KeyError or TypeError for what is no receipt."""
        behind = raw.get("behind") or {}
        return cls(
            id=raw["id"],
            view=raw.get("view", ""),
            version=raw.get("version", ""),
            runs=tuple(raw.get("runs", ())),
            cut=_position(raw.get("cut", {})),
            position=_position(raw.get("position", {})),
            seq=raw.get("seq"),
            behind=Behind(behind.get("records"), behind.get("seconds")),
            quarantined=raw.get("quarantined", 0),
            failed=raw.get("failed", 0),
            gaps=tuple(raw.get("gaps", ())),
            complete=raw.get("complete", False),
            approximate=tuple(raw.get("approximate", ())),
            dimensions=raw.get("dimensions", {}),
            more=raw.get("more", False),
            next=raw.get("next"),
            layer=raw.get("layer"),
            raw=raw,
        )

    def __str__(self) -> str:
        """In a line: `sales up to seq 37; 0.4 s behind, not complete; receipt s1.37.9c2f0a1b`."""
        told = [f"of {self.layer} alone"] if self.layer else []
        told += [str(self.behind)]
        told += [f"{self.quarantined:,} quarantined"] if self.quarantined else []
        told += [] if self.complete else ["not complete"]
        told += [f"approximate: {', '.join(self.approximate)}"] if self.approximate else []
        seq = "" if self.seq is None else f" up to seq {self.seq}"
        return f"{self.view or 'SQL'}{seq}; {', '.join(told)}; receipt {self.id}"


def _position(offsets: Mapping[str, int]) -> Mapping[int, int]:
    return {int(partition): offset for partition, offset in offsets.items()}
