"""The verbs that explain an answer: trace, why."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import typer

from dovetail.cli.ask import conditions
from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, start_spark

if TYPE_CHECKING:
    from dovetail.batch.counted import Answered, Group
    from dovetail.batch.trace import Trace
    from dovetail.batch.why import Asked, Line
    from dovetail.shared.declare import View
    from dovetail.shared.project import Project

PANEL = "Ask"
JSON = typer.Option(False, "--json", help="One JSON document.")
MATCHES = typer.Argument(
    None, metavar="KEY=VALUE…", help="Which groups: KEY=VALUE,VALUE, KEY.null=true for null, start=TIME, end=TIME."
)
WIDTH = 60


def register(app: typer.Typer) -> None:
    for verb in (trace, why):
        app.command(rich_help_panel=PANEL)(verb)


def trace(
    context: typer.Context,
    source: str = typer.Argument(help="The source whose topic it is in."),
    record: str = typer.Argument(
        help="The record: its partition and offset, as in 2@3141; import:ID/FILE#ROW for an imported one.",
        metavar="P@O",
    ),
    as_json: bool = JSON,
) -> int:
    """Tell a record's whole path: read, decoded, kept, counted where, and who answers for it."""
    from dovetail.batch import trace_import
    from dovetail.batch.trace import trace as follow

    output, project = Output(as_json=as_json), load_project(context)
    named = project.source(source)
    place = trace_import.place(project, named, record)
    spark = partial(start_spark, project.settings, "trace", on_progress=output.progress())
    if place.partition < 0:
        found = trace_import.trace(project, named, place, spark)
    else:
        found = follow(project, named, place, partial(find_log, project.settings), spark)
    for line in path(found):
        output.line(line)
    for view in (v for v in found.views if v.problem):
        output.problem(f"{view.view}: {view.problem}", next=view.next)
    if found.next:
        output.line(f"next  {found.next}", style="dim")
    output.result(_document(found))
    return 1 if found.missing or any(v.problem for v in found.views) else 0


def why(
    context: typer.Context,
    view: str = typer.Argument(help="The view whose number it is."),
    matches: list[str] | None = MATCHES,
    start: str = typer.Option("", help="From this time on, as in 2026-03-01 or 2026-03-01T09:00:00Z."),
    end: str = typer.Option("", help="Up to this time, which is excluded."),
    bucket: str = typer.Option("", help="The bucket of this length that begins at start, as in 1h, 1d, 1mo, in UTC."),
    limit: int = typer.Option(20, min=0, help="The most records to list."),
    as_json: bool = JSON,
) -> int:
    """List the records behind a number, and say whether the view's tables hold as many rows."""
    from dovetail.batch.why import why as find

    output, project = Output(as_json=as_json), load_project(context)
    named, where = project.view(view), conditions(matches or (), option="KEY=VALUE")
    asked = _asked(project, named, where, start=start, end=end, bucket=bucket)
    log = find_log(project.settings)
    spark = start_spark(project.settings, "why", on_progress=output.progress())
    found = find(project, named, asked, log, spark, limit=limit)
    if found.lines:
        columns = ["record", "kafka timestamp", "event time", "layer", "rows", "value"]
        output.table(columns, [_row(line) for line in found.lines], right=["rows"])
    if found.records > len(found.lines):
        output.line(f"and {counted(found.records - len(found.lines), 'more record')}: --limit shows them")
    layers = f"{found.below_cut:,} from batch, {found.records - found.below_cut:,} from speed"
    output.line(f"{counted(found.records, 'record')} (up to seq {found.seq}): {layers}, cut {found.cut}")
    gone = f", {found.gone:,} from records whose bytes are gone" if found.gone else ""
    rows = f"{counted(found.rows, 'row')} from these records{gone}, {found.held:,} in the tables of {view}"
    if found.agree:
        output.line(f"{rows}: they agree", style="bold green")
    else:
        output.problem(f"{rows}: THEY DO NOT AGREE", next=f"dovetail prove {named.source.name}")
    output.result(
        {
            "view": view,
            "version": found.version,
            "seq": found.seq,
            "cut": found.cut.as_json(),
            "records": found.records,
            "batch": found.below_cut,
            "speed": found.records - found.below_cut,
            "rows": found.rows,
            "held": found.held,
            "gone": found.gone,
            "agree": found.agree,
            "lines": [dict(zip(_FIELDS, _row(line, cut_off=False), strict=True)) for line in found.lines],
        }
    )
    return 0 if found.agree else 1


_FIELDS = ("record", "timestamp", "event_time", "layer", "rows", "value")


def path(found: Trace) -> list[str]:
    """A trace in words: its one view in the first line, each of several in a line of its own."""
    name = f"{found.source} {found.record}"
    if found.missing or found.unread:
        return [f"{name}: {found.missing or found.unread}"]
    read = f"imported from {found.file}" if found.file else f"read in seq {found.seq}"
    steps = [f"{read} at {_moment(datetime.fromtimestamp(found.at or 0, UTC))}"]
    if found.fate == "quarantined":
        steps.append(f"in quarantine: {found.reason}")
    elif found.fate == "dropped":
        steps += ["decoded", f"dropped: {found.reason}"]
    elif found.fate == "repeat":
        steps += ["decoded", f"a repeat of {found.of}" if found.of else "a repeat"]
    else:
        steps += ["decoded", "not a repeat", "kept"] if found.deduplicated else ["decoded", "kept"]
    if found.put_right:
        return [" → ".join([*steps, found.put_right])]
    told = [_told(v) for v in found.views if v.groups or (v.reason and (found.fate == "kept" or found.file))]
    if len(told) == 1:
        return [" → ".join([*steps, *told])]
    return [" → ".join(steps), *told]


def _told(view: Answered) -> str:
    """`sales[94217, S18_3232, 2026-10-01 09:00] → served by speed (above cut 2@871)`."""
    if not view.groups:
        return f"{view.view}: {view.reason}"
    groups = ", ".join(f"{view.view}[{_label(g)}]" + (f" × {g.rows}" if g.rows > 1 else "") for g in view.groups)
    if view.cut and view.cut.partition < 0:
        return f"{groups} → served by batch run {(view.run or '')[:8]}"
    if view.served_by == "batch":
        return f"{groups} → served by batch run {(view.run or '')[:8]} (below cut {view.cut})"
    return f"{groups} → served by speed (above cut {view.cut})"


def _label(group: Group) -> str:
    keys = ["null" if value is None else str(value) for value in group.keys.values()]
    return ", ".join([*keys, *([_moment(group.bucket)] if group.bucket else [])])


def _moment(at: datetime) -> str:
    """In UTC, with its seconds where it has some."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def _document(found: Trace) -> dict[str, Any]:
    return {
        "source": found.source,
        "record": str(found.record),
        "missing": found.missing or None,
        "unread": found.unread or None,
        "next": found.next or None,
        "read": None if found.seq is None else {"seq": found.seq, "at": found.at},
        "file": found.file or None,
        "decoded": None if found.fate is None else found.fate != "quarantined",
        "fate": found.fate,
        "reason": found.reason or None,
        "repeat": found.fate == "repeat",
        "repeat_of": str(found.of) if found.of else None,
        "put_right": found.put_right or None,
        "views": [
            {
                "view": v.view,
                "version": v.version,
                "groups": [{"keys": dict(g.keys), "bucket": g.bucket, "rows": g.rows} for g in v.groups],
                "served_by": v.served_by,
                "run": v.run,
                "cut": str(v.cut) if v.cut else None,
                "reason": v.reason or None,
                "problem": v.problem or None,
            }
            for v in found.views
        ],
    }


def _asked(project: Project, view: View, where: dict[str, str], *, start: str, end: str, bucket: str) -> Asked:
    """The groups meant, checked in the words and with the errors of a query."""
    from dovetail.batch.why import Asked
    from dovetail.serving.buckets import calendar
    from dovetail.serving.fields import from_url
    from dovetail.serving.query import plan
    from dovetail.serving.shape import Shape
    from dovetail.shared.asking import Question
    from dovetail.shared.errors import NotYet
    from dovetail.shared.manifest_table import DeltaManifest
    from dovetail.shared.tables import AppendTable
    from dovetail.shared.versions import load

    manifest = DeltaManifest(project.layout.manifest(view.name)).read()
    if manifest is None:
        raise NotYet(f"{view.name} has never answered", next=f"dovetail batch {view.name}")
    shape = Shape.of(
        load(project.layout.version(manifest.live)), AppendTable.existing(project.layout.states(manifest.live)).schema
    )
    bounds = {"start": start, "end": end}
    for name in [n for n in bounds if n in where and n not in shape.keys]:
        bounds[name] = where.pop(name)
    question = Question(view.name, where=where, start=bounds["start"], end=bounds["end"], bucket=bucket)
    planned = plan(shape, from_url(urlencode(question.parameters()))).plan
    first, last = planned.start, planned.end
    if planned.bucket is not None:
        if first is None or last is not None:
            raise typer.BadParameter("goes with start and without end", param_hint="--bucket")
        days = calendar("UTC", planned.bucket, shape.bucket_seconds or 1)
        days.check_start("start", first)
        last = days.end(first)
    if others := [f"{c.name}.{c.op}" for c in planned.where if c.op != "in"]:
        raise typer.BadParameter(f"{others[0]}: a group is named by the values of its keys", param_hint="KEY=VALUE")
    return Asked({c.name: c.values for c in planned.where}, first, last)


def _row(line: Line, *, cut_off: bool = True) -> list[Any]:
    value = line.value.decode("utf-8", "replace")
    short = value if len(value) <= WIDTH or not cut_off else f"{value[: WIDTH - 1]}…"
    layer = "batch" if line.below_cut else "speed"
    return [str(line.record), f"{line.timestamp.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", line.event_time, layer,
            line.rows, " ".join(short.split()) if cut_off else short]  # fmt: skip
