"""Gates: how far what a view answers may move before a person is asked, and what a gate held back last."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from dovetail.shared import notes
from dovetail.shared.caller import caller
from dovetail.shared.errors import DeclarationError, unknown
from dovetail.shared.percentage import share

if TYPE_CHECKING:  # a declaration needs no tables
    from dovetail.shared.manifest import Manifest
    from dovetail.shared.tables import Layout


@dataclass(frozen=True)
class Gate:
    """How far a measure may move when other runs come to answer; made by `gate`.

    `within` and `groups` are shares. Without `groups` it judges the answer over all groups; with it each group by
    itself, of which that share may move further.
    """

    measure: str
    within: float
    groups: float | None = None
    where: str = field(default="", compare=False)


def gate(measure: str, *, within: str, groups: str | None = None) -> Gate:
    """Holds back a promote, or a nightly batch, that moves a measure's answer by more than `within`.

    Both sides are taken at one position of the log, so that growth by itself never closes a gate. From 0, or from
    nothing, every step is too far; an answer that is no number has to stay the same. Not part of a view's version.

    Args:
        measure: a measure of the view.
        within: a percentage of what answers now: "30%", "0%" for no step at all.
        groups: where given, each group is judged instead of the answer over all of them, and this percentage of the
            groups may move further: "5%".

    Raises:
        DeclarationError: a percentage cannot be read.

    Example: `dv.view(…, promote_if=[dv.gate("lines", within="30%"), dv.gate("revenue", within="10%", groups="5%")])`
    """
    where = caller()
    allowed, few = share(within), None if groups is None else share(groups)
    if allowed is None:
        raise _no_percentage("within", within, where)
    if groups is not None and (few is None or few > 1):
        raise _no_percentage("groups", groups, where)
    return Gate(measure, allowed, few, where)


def checked(view: str, gates: Sequence[Gate], measures: Collection[str], where: str) -> tuple[Gate, ...]:
    """The gates of a view; raises DeclarationError where one is none, or of no measure of the view."""
    if not isinstance(gates, Sequence):  # the types say so; a user without a type checker may not
        raise DeclarationError(f"view {view}: promote_if must be a list, as in [dv.gate(…)]", where=where)
    for each in gates:
        if not isinstance(each, Gate):
            raise DeclarationError(f"view {view}: promote_if holds {each!r}, not a dv.gate(…)", where=where)
        if each.measure not in measures:
            raise DeclarationError(
                f"view {view}: gate: {unknown('measure', str(each.measure), measures)}", where=each.where
            )
    return tuple(gates)


@dataclass(frozen=True)
class Held:
    """What keeps the newest batch from answering, and the ways on."""

    what: str
    next: str


def hold(layout: Layout, manifest: Manifest, held: Held) -> None:
    """Notes what keeps a batch from answering in the place of this manifest's runs."""
    notes.keep(layout.held_back(manifest.view), {"generation": manifest.generation, **asdict(held)})


def held_back(layout: Layout, manifest: Manifest) -> Held | None:
    """What keeps the newest batch from answering; None where nothing does, or other runs answer by now."""
    found = notes.read(layout.held_back(manifest.view)) or {}
    if found.get("generation") != manifest.generation:
        return None
    return Held(str(found.get("what")), str(found.get("next")))


def _no_percentage(name: str, given: object, where: str) -> DeclarationError:
    return DeclarationError(f"gate: {name}={given!r} is not a percentage", where=where, next=f'write {name}="30%", say')
