"""What `dovetail plan --verify` says: whether a changed view comes to the same states, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dovetail.cli.output import Output, counted
from dovetail.cli.session import start_spark, writable

if TYPE_CHECKING:
    from dovetail.batch.plan import Planned
    from dovetail.batch.verify import Verified
    from dovetail.shared.project import Project


def verified(output: Output, project: Project, found: Iterable[Planned], *, sample: float) -> dict[str, dict[str, Any]]:
    """Verifies each changed view and prints what was found; by view as JSON."""
    from dovetail.batch.verify import verify

    changed = [each.view for each in found if each.state in ("changed", "computed")]
    if not changed:
        return {}
    writable(project.settings)
    spark = start_spark(project.settings, "verify", heavy=True, on_progress=output.progress())
    told: dict[str, dict[str, Any]] = {}
    for name in changed:
        result = verify(project, project.view(name), spark, sample=sample)
        for line in lines(name, result):
            output.line(line)
        told[name] = {**vars(result), "same": result.same, "relabel": result.whole}
    return told


def lines(view: str, found: Verified) -> Iterator[str]:
    part = "" if found.sample == 1 else f" of {found.sample:.4g} of all keys"
    yield (
        f"{view}: {found.equal:,} of {counted(found.groups, 'group')}{part} up to seq {found.seq} are equal "
        f"by {found.before} and {found.after}"
    )
    yield from (f"      {each}" for each in found.differing)
    if found.whole:
        yield f"      next: dovetail reprocess {view} --relabel, which computes none of them"
    elif found.same:
        yield f"      next: dovetail plan {view} --verify: what a sample says lets nothing be relabelled"
