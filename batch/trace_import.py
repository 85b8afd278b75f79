"""The path of one imported record: what the import holds, and what each view makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from dovetail.batch import imported
from dovetail.batch.counted import NO_ROW, REPEAT, Answered, Held, groups_of, stated
from dovetail.batch.imported import AGAIN
from dovetail.batch.trace import Fate, Trace
from dovetail.shared.declare import Source
from dovetail.shared.decode import META
from dovetail.shared.engine import arrow
from dovetail.shared.errors import UsageError
from dovetail.shared.imports import Imports
from dovetail.shared.manifest import Manifest
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import ROW_BITS, RecordId
from dovetail.shared.project import Project
from dovetail.shared.set_apart import why_raising
from dovetail.shared.versions import load

BY_NAME = re.compile(r"import:([1-9][0-9]{0,8})/(.+)#([1-9][0-9]{0,11})")


def place(project: Project, source: Source, text: str) -> RecordId:
    """A record's place from its text, in which the file of an import may be told by its name or the end of it."""
    match = BY_NAME.fullmatch(text)
    if match is None or match[2].isdecimal():
        return RecordId.parse(text)
    files = Imports(project.layout, source.name).get(int(match[1])).files
    found = [n for n, file in enumerate(files, start=1) if f"/{file.name}".endswith(f"/{match[2]}")]
    if len(found) != 1:
        what = "has no file" if not found else f"has {len(found)} files"
        raise UsageError(f"import {match[1]} {what} {match[2]}", next=f"dovetail import {source.name} --list")
    return RecordId.imported(int(match[1]), found[0], int(match[3]))


def trace(project: Project, source: Source, record: RecordId, spark: Callable[[], SparkSession]) -> Trace:
    """Follows one imported record.

    Raises:
        UsageError: there is no such import.
        UserCodeError: the transform of a view raises at this record.
    """
    layout, listed = project.layout, f"dovetail import {source.name} --list"
    each = Imports(layout, source.name).get(-record.partition)
    if not (layout.imported(source.name) / each.folder).is_dir():
        return Trace(source.name, record, f"{each} was dropped, and its records are gone", next=listed)
    rows = imported.held(layout, source.name, [each], spark()).where(F.col("_offset") == record.offset)
    raw = arrow(rows)
    if not raw.num_rows:
        what = f"{each} holds no such row: there is none, or --where or --skip-overlap left it out"
        return Trace(source.name, record, what, next=listed)
    again, held = set(raw[AGAIN][0].as_py()), Held(record, raw.select([*META]), spark())
    _, reason = held.decoded(source.as_json())
    views = []
    for view in project.views_of(source):
        manifest = DeltaManifest(layout.manifest(view.name)).read()
        if manifest is None:
            views.append(Answered(view.name, problem="has never answered", next=f"dovetail batch {view.name}"))
        else:
            views.append(_answered(project, manifest, held, again))
    file = each.files[(record.offset >> ROW_BITS) - 1].name
    fate: Fate = "quarantined" if reason else "repeat" if again else "kept"
    return Trace(
        source.name, record, at=each.at, deduplicated=bool(source.event_id),
        fate=fate, reason=reason, views=tuple(views), file=file,
    )  # fmt: skip


def _answered(project: Project, manifest: Manifest, held: Held, again: set[int]) -> Answered:
    mine, ids = -held.id.partition, {each.id for each in manifest.imports}
    found = Answered(manifest.view, manifest.live)
    if mine not in ids:
        reason = f"import {mine} is not in its answers: dovetail batch {manifest.view} --full takes in what is there"
        return replace(found, reason=reason)
    if again & ids:
        return replace(found, reason=REPEAT)
    bundle = load(project.layout.version(manifest.live))
    good, reason = held.decoded(bundle.decoder)
    reason = reason or why_raising(project.layout, bundle.source, manifest.live, None, held.id, manifest.runs)
    if reason:
        return replace(found, reason=reason)
    groups = groups_of(stated(good, bundle), bundle)
    found = replace(found, served_by="batch", run=manifest.runs[0].id, cut=held.id)
    return replace(found, groups=groups, reason="" if groups else NO_ROW)
