"""The verbs that ask: status, query, sql."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from dovetail.cli.output import Output, counted
from dovetail.cli.session import find_log, load_project, load_settings
from dovetail.shared.duration import ago

if TYPE_CHECKING:
    from dovetail.shared.asking import Answer
    from dovetail.shared.locks import Owner
    from dovetail.shared.pauses import Pause
    from dovetail.shared.status import SourceState, ViewState

PANEL = "Ask"
JSON = typer.Option(False, "--json", help="One JSON document.")
WHERE = typer.Option(
    None, help="KEY=VALUE,VALUE: rows of these only; KEY.gte=VALUE, and lt, lte, gt, prefix, not. May be given again."
)
HAVING = typer.Option(None, help="MEASURE.gte=VALUE: only rows of the answer that are so; operators as in --where.")
DECIMAL = re.compile(r"(-?)(0|[1-9]\d*)(\.\d+)")
FIGURES = ("consumed", "quarantined", "dropped", "broken", "seq", "ahead", "runs", "garbage", "imports")


def register(app: typer.Typer) -> None:
    for verb in (status, query, sql):
        app.command(rich_help_panel=PANEL)(verb)


def status(context: typer.Context, as_json: bool = JSON) -> None:
    """Say what is wrong, worst first, then how each source and view stands."""
    from dovetail.shared.errors import ServiceMissing
    from dovetail.shared.status import look
    from dovetail.shared.troubles import troubles

    output, project = Output(as_json=as_json), load_project(context)
    try:
        found = look(project, find_log(project.settings))
    except ServiceMissing as missing:
        found = look(project, missing)
    wrong = troubles(found)
    for trouble in wrong:
        output.problem(trouble.what, next=trouble.next, page=trouble.code.page)
    if wrong:
        output.line("")
    else:
        output.line("Nothing is wrong.")
    sources = [_source(state) for state in found.sources]
    views = [_view(state) for state in found.views]
    for rows in (sources, views):
        output.table([*rows[0]], [[_cell(v) for v in row.values()] for row in rows], right=FIGURES)
        output.line("")
    broken = [row for state in found.sources for row in _broken(state)]
    if broken:
        output.table([*broken[0]], [[_cell(v) for v in row.values()] for row in broken], right=FIGURES)
        output.line("")
    if found.locks:
        columns = ("lock", "held by", "pid", "host", "for")
        output.table(columns, [(o.name, o.what, str(o.pid), o.host, ago(o.age_seconds)) for o in found.locks])
        output.line("")
    for state in found.views:
        for folder in state.garbage:
            output.line(f"garbage: {folder} is a run that nothing names; dovetail clean deletes it")
    output.result(
        {
            "troubles": [
                {"code": t.code, "grade": t.grade.name.lower(), "what": t.what, "why": t.why, "next": t.next}
                for t in wrong
            ],
            "sources": sources,
            "rules": broken,
            "views": views,
            "locks": [_lock(owner) for owner in found.locks],
            "dimensions": [
                {
                    "dimension": d.dimension.name,
                    "version": d.version.n if d.version else None,
                    "rows": d.version.rows if d.version else None,
                    "age_seconds": round(d.age_seconds, 1) if d.read_at else None,
                    "problem": d.problem,
                }
                for d in found.dimensions
            ],
        }
    )
    if wrong:
        raise typer.Exit(1)


def query(
    context: typer.Context,
    view: str = typer.Argument(help="The view to ask."),
    by: str = typer.Option("", help="Keys or columns of dimensions to group by, separated by commas.", metavar="KEYS"),
    measures: str = typer.Option("", help="Measures to answer, separated by commas; all where not given."),
    where: list[str] | None = WHERE,
    having: list[str] | None = HAVING,
    start: str = typer.Option("", help="From this time on, as in 2026-03-01 or 2026-03-01T09:00:00Z."),
    end: str = typer.Option("", help="Up to this time, which is excluded."),
    bucket: str = typer.Option("", help="Group by time too, as in 1h, 1d, 1w or 1mo."),
    window: str = typer.Option("", help="Merge this much time up to the end of each bucket, as in 7d."),
    fill: str = typer.Option("", help="Show buckets without records too, as zero or null.", metavar="zero|null"),
    tz: str = typer.Option("", help="The time zone of buckets and times, as in Europe/Paris."),
    order_by: str = typer.Option("", help="Columns to order by, a - before those that descend."),
    limit: int | None = typer.Option(None, min=1, help="The most rows."),
    as_of: str = typer.Option("", help="The answer that the receipt of this id stands for.", metavar="RECEIPT"),
    at_least: str = typer.Option("", help="Wait for an answer with this ledger seq, or this record (2@3141), in it."),
    layer: str = typer.Option("", help="What one layer alone holds of it, not both.", metavar="batch|speed"),
    as_json: bool = JSON,
) -> None:
    """Ask the running server, and show the answer with its receipt."""
    from dovetail.shared.asking import Question, ask

    output, server = Output(as_json=as_json), load_settings(context).serving.url
    question = Question(
        view,
        by=by,
        measures=measures,
        where=conditions(where or ()),
        having=conditions(having or (), option="--having"),
        start=start,
        end=end,
        bucket=bucket,
        window=window,
        fill=fill,
        tz=tz,
        order_by=order_by,
        limit=limit,
        at_least=at_least,
        as_of=as_of,
        layer=layer,
    )
    answer, grouped = ask(server, question), {"bucket", *(name.strip() for name in by.split(","))}
    show(output, answer, figures=lambda column: column not in grouped, more="--limit shows them")


def sql(
    context: typer.Context,
    statement: str | None = typer.Argument(
        None, help="One SELECT. Where it is not given it is read from stdin, or typed in a shell on a terminal."
    ),
    as_json: bool = JSON,
) -> None:
    """Ask the running server in SQL: keys and columns as columns, measures as MEASURE(name)."""
    from dovetail.shared.asking import ask_sql

    output, server = Output(as_json=as_json), load_settings(context).serving.url
    if statement is None and sys.stdin.isatty():
        from dovetail.cli.shell import run

        run(output, server)
        return
    show_sql(output, ask_sql(server, sys.stdin.read() if statement is None else statement))


def show_sql(output: Output, answer: Answer) -> None:
    """An answer to a statement, whose columns may be called anything: what looks like figures is shown as such."""
    columns = {c: [row[c] for row in answer.rows] for c in (answer.rows[0] if answer.rows else ())}
    figures = {c for c, values in columns.items() if all(map(_is_figure, values))}
    show(output, answer, figures=figures.__contains__, more="LIMIT and OFFSET show them")


def show(output: Output, answer: Answer, *, figures: Callable[[str], bool], more: str) -> None:
    """The rows of an answer above its receipt in words.

    Args:
        figures: whether a column holds figures, which end on one line.
        more: what shows the rows that were cut off.
    """
    if answer.rows:
        columns = list(answer.rows[0])
        right = [c for c in columns if figures(c)]
        rows = [[_figure(row[c]) if c in right else row[c] for c in columns] for row in answer.rows]
        output.table(columns, rows, right=right)
    else:
        output.line("no rows")
    if answer.receipt.get("more"):
        output.line(f"there are more rows than these {len(answer.rows):,}: {more}")
    for receipt in answer.receipts or [answer.receipt]:
        of = f"{receipt['view']}: " if answer.receipts else ""
        output.line(of + receipt_line(receipt), style="dim")
    output.result(answer.document)


def receipt_line(receipt: Mapping[str, Any]) -> str:
    """A receipt in words: what is from batch, what from speed, how late it is and what is missing.

    `batch run 4f0c below cut 900·905, speed above it (up to seq 37); 0.4 s behind, 11 quarantined; receipt s1.37.9c2f`
    """
    runs = [run for run in receipt.get("runs", ()) if run != "origin"]
    if runs:
        batch = f"batch run {runs[0][:8]}" if len(runs) == 1 else f"{len(runs)} batch runs"
        parts = f"{batch} below cut {position(receipt['cut'])}, speed above it"
    else:
        parts = "all from speed"
    if layer := receipt.get("layer"):
        parts = f"OF {layer.upper()} ALONE: {parts}"
    parts += f" (up to seq {receipt['seq']})"
    told = [_behind(receipt.get("behind") or {})]
    if receipt.get("quarantined"):
        told.append(f"{receipt['quarantined']:,} quarantined")
    if receipt.get("failed"):
        told.append(f"{counted(receipt['failed'], 'record')} that the view raises for")
    if receipt.get("gaps"):
        told.append(f"{counted(len(receipt['gaps']), 'gap')} passed as lost")
    if receipt.get("complete") is False:
        told.append("not complete")
    if receipt.get("approximate"):
        told.append("approximate")
    return "; ".join([parts, ", ".join(told), f"receipt {receipt['id']}"])


def conditions(given: Sequence[str], *, option: str = "--where") -> dict[str, str]:
    """Values by key, as a question has them, of arguments `KEY=VALUE,VALUE`."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, values = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"'{text}' is not KEY=VALUE", param_hint=option)
        found[key] = f"{found[key]},{values}" if key in found else values
    return found


def _behind(behind: Mapping[str, Any]) -> str:
    records, seconds = behind.get("records"), behind.get("seconds")
    if records == 0:
        return "nothing behind"
    if records is None or seconds is None:
        return "how far behind is not known"
    return f"{seconds:,.1f} s behind"


def position(offsets: Mapping[str, int]) -> str:
    """A position in a line: `900·905`."""
    return "·".join(str(o) for _, o in sorted(offsets.items(), key=lambda item: int(item[0])))


def _is_figure(value: object) -> bool:
    """Whether a value is a number, or a decimal as text; null may be either."""
    if isinstance(value, str):
        return bool(DECIMAL.fullmatch(value))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _figure(value: object) -> object:
    """A measure's value with its thousands apart; a decimal comes as text, and keeps every digit."""
    if isinstance(value, str) and (match := DECIMAL.fullmatch(value)):
        return f"{match[1]}{int(match[2]):,}{match[3]}"
    return value


def _source(state: SourceState) -> dict[str, Any]:
    return {
        "source": state.source.name,
        "topic": state.source.topic,
        "speed": _standing(state.speed_runs, state.speed_paused),
        "archive": _standing(state.archive_runs, state.archive_paused),
        "seq": state.last.seq if state.last else None,
        "position": state.position.as_json() if state.position is not None else None,
        "archived": state.claim.as_json() if state.claim is not None else None,
        "log end": state.extent.end.as_json() if state.extent else None,
        "ahead": state.ahead(state.position),
        "consumed": state.consumed,
        "quarantined": state.quarantined,
        "dropped": state.dropped,
    }


def _standing(runs: bool, pause: Pause | None) -> str:
    return "paused" if pause else "running" if runs else "stopped"


def _broken(state: SourceState) -> list[dict[str, Any]]:
    """By rule how often it was broken: by as many records, or commits for a rule on a commit."""
    return [
        {"source": state.source.name, "rule": rule, "otherwise": otherwise, "broken": n}
        for (rule, otherwise), n in sorted(state.broken.items())
    ]


def _view(state: ViewState) -> dict[str, Any]:
    manifest = state.manifest
    return {
        "view": state.view.name,
        "version": manifest.live if manifest else None,
        "declared": state.declared,
        "changed": state.changed,
        "batch": _standing(state.batch_runs, state.batch_paused),
        "runs": len([r for r in manifest.runs if r.id != "origin"]) if manifest else 0,
        "cut": manifest.cut.as_json() if manifest else None,
        "cut seq": manifest.seq if manifest else None,
        "garbage": [str(folder) for folder in state.garbage],
        "imports": [each.id for each in manifest.imports] if manifest else [],
    }


def _lock(owner: Owner) -> dict[str, Any]:
    return {
        "lock": owner.name,
        "what": owner.what,
        "pid": owner.pid,
        "host": owner.host,
        "lives": owner.lives,
        "age_seconds": round(owner.age_seconds, 1),
    }


def _cell(value: object) -> object:
    """As in a table: positions in a line, versions short, what is not known as a dash."""
    if isinstance(value, dict):
        return position(value) or "origin"
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str) and re.fullmatch(r"\w+@[0-9a-f]{16}", value):
        return value[: value.index("@") + 5]
    return "–" if value is None else value
