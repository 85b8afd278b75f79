"""One view as one SQL view of Trino: the runs of a manifest, and of what speed wrote above its cut what is committed.

Pure. A query of it sees each table at one version. It reads the newest prefix of the ledger whose commits it sees
whole, so that a commit that lands while the query is planned is counted with all of its rows or not at all; and it
fails, with the reason, where the parts do not fit together (rules 1, 5 and 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from dovetail.shared.grants import Mask
from dovetail.shared.manifest import Manifest
from dovetail.shared.measures import Measure, StateKind
from dovetail.shared.trino.measures import NotInSql, merged, offered
from dovetail.shared.trino.names import literal, quoted, sql_type

BUCKET = "_bucket"
NEVER = 9_223_372_036_854_775_807
"""A seq that no ledger comes to."""
MASKED = "it is masked"


@dataclass(frozen=True)
class Looked:
    """A dimension as its newest version has it: the table in Trino, its key, and of each attribute the column there."""

    name: str
    table: str
    key: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Parts:
    """What a view is made of, tables by their full names in Trino. `stored` are the columns of its states."""

    manifest: Manifest
    keys: tuple[str, ...]
    bucket: bool
    measures: Mapping[str, Measure]
    stored: pa.Schema
    ledger: str
    manifests: str
    states: str
    runs: tuple[str, ...]
    dimensions: tuple[Looked, ...] = ()
    masks: Mapping[str, Mask] = field(default_factory=dict)
    """By key, attribute or measure. One that cannot be shown in its form is left out."""


@dataclass(frozen=True)
class Made:
    """A statement, the columns of its view in their order, and by name why what is missing is."""

    sql: str
    columns: tuple[str, ...]
    left_out: Mapping[str, str]


def statement(name: str, parts: Parts) -> Made:
    """The CREATE OR REPLACE VIEW of a view that is called `name`, in full and quoted."""
    shown, left = _shown(parts)
    columns = ",\n  ".join(f"{sql} AS {quoted(column)}" for column, sql in shown.items())
    manifest = parts.manifest
    said = f"{manifest.live}, generation {manifest.generation}, cut at seq {manifest.seq}"
    sql = "\n".join(
        [
            f"CREATE OR REPLACE VIEW {name} COMMENT {literal(said)} SECURITY DEFINER AS",
            f"WITH {_committed(parts)},",
            f"fitting AS (\n{_fitting(manifest)}\n),",
            f"merged AS (\n{_merged(parts)}\n)",
            f"SELECT\n  {columns}",
            f"FROM merged m{_joined(parts)}",
        ]
    )
    return Made(sql, tuple(shown), left)


def _committed(parts: Parts) -> str:
    """The commits above the cut, how many of their rows are there, and up to which seq they count."""
    live, seq = literal(parts.manifest.live), parts.manifest.seq
    return f"""above AS (
  SELECT seq, kind, commit_id, element_at(versions, {live}) AS named FROM {parts.ledger} WHERE seq > {seq}
),
found AS (
  SELECT _commit_id, count(*) AS n FROM {parts.states} WHERE _seq > {seq} GROUP BY _commit_id
),
held AS (
  SELECT a.seq, a.kind, a.named, coalesce(f.n, 0) AS n FROM above a LEFT JOIN found f ON f._commit_id = a.commit_id
),
checked AS (
  SELECT
    coalesce(min(seq) FILTER (WHERE kind = 'detach' AND named IS NULL), {NEVER}) AS detached,
    coalesce(min(seq) FILTER (WHERE named IS NULL), {NEVER}) AS missed,
    coalesce(min(seq) FILTER (WHERE n < named), {NEVER}) AS unseen,
    coalesce(max(seq) FILTER (WHERE named > 0 AND n >= named), -1) AS whole,
    count_if(n > named) AS extra,
    coalesce(max(seq), {seq}) - {seq} - count(*) AS lost,
    (SELECT CAST(json_value(max_by(manifest, revision), 'lax $.floors.{quoted(parts.manifest.live)}'
      DEFAULT '-1' ON EMPTY) AS bigint)
      FROM {parts.manifests} WHERE revision >= {parts.manifest.revision}) AS pruned
  FROM held
)"""  # noqa: S608  our own names, quoted


def _fitting(manifest: Manifest) -> str:
    """One row, `fits` and a null, or the query fails: there is no number where the parts do not fit together.

    A cast fails with its text in the message; one of a constant could be tried before it is known to be needed. Neither
    column is made of the other, or Trino would take from the one what the other must be, and try nothing.
    """
    view, again = f"{manifest.view} cannot be answered: ", "dovetail trino sync"
    problems = {
        f"pruned > {manifest.seq}": ("states above its cut have been pruned", again),
        "lost <> 0": ("rows of its ledger are missing", "dovetail doctor"),
        "missed < detached": (f"{manifest.live} was not in force for every record", again),
        "extra > 0": ("commits hold more rows than the ledger says", "dovetail doctor"),
        "unseen < least(whole, detached)": ("rows of commits are missing", "dovetail doctor"),
    }
    cases = "\n".join(
        f"    WHEN {when} THEN {literal(f'{view}{why}, next: {next_}; ')}" for when, (why, next_) in problems.items()
    )
    problem = f"SELECT lost, CASE\n{cases}\n  END AS problem FROM checked"  # noqa: S608
    tried = "CAST(problem || CAST(lost AS varchar) AS boolean)"
    return f"  SELECT problem IS NULL OR {tried} AS fits, CAST({tried} AS varchar) AS nothing FROM ({problem})"  # noqa: S608


def _merged(parts: Parts) -> str:
    """Runs and speed in one row per key, in the form that it is seen in, and bucket.

    The check is a row of its own among theirs, of which nothing is seen, and whose keys are known only once it is made:
    so whatever a query filters by, it is made. (A bool_or of theirs alone Trino would make a filter, and leave it out.)
    """
    keys, kinds = _keys(parts), _kinds(parts)
    groups = [*map(quoted, keys), *([BUCKET] if parts.bucket else [])]
    columns = [*(f"{sql} AS {quoted(key)}" for key, sql in keys.items()), *([f"s.{BUCKET}"] if parts.bucket else [])]
    selected = ", ".join([*columns, *(f"s.{quoted(column)}" for column in kinds), "1 AS _stored"])
    rows = [f"    SELECT {selected} FROM {run} s" for run in parts.runs]  # noqa: S608
    rows.append(
        f"    SELECT {selected} FROM {parts.states} s JOIN above a ON s._commit_id = a.commit_id CROSS JOIN checked c\n"  # noqa: S608
        f"    WHERE s._seq > {parts.manifest.seq} AND a.seq < least(c.detached, c.unseen)"
    )
    nulls = [_null(parts.stored.field(name).type) for name in [*keys, *([BUCKET] if parts.bucket else [])]]
    rows.append(f"    SELECT {', '.join([*nulls, *('NULL' for _ in kinds), '0'])} FROM fitting WHERE fits")  # noqa: S608
    union = "\n    UNION ALL\n".join(rows)
    shown = ",\n    ".join([*groups, *(f"{sql} AS {quoted(column)}" for column, sql in kinds.items())]) or "1 AS one"
    grouping = f"\n  GROUP BY {', '.join(groups)}\n  HAVING max(_stored) > 0" if groups else ""
    return f"  SELECT\n    {shown}\n  FROM (\n{union}\n  ){grouping}"


def _null(kind: pa.DataType) -> str:
    """The null of the check, as a key."""
    return "to_utf8(nothing)" if pa.types.is_binary(kind) else f"CAST(nothing AS {sql_type(kind)})"


def _keys(parts: Parts) -> dict[str, str]:
    """The keys that are shown, as they are seen: masked before anything is grouped by them."""
    found = {k: _seen(f"s.{quoted(k)}", parts.stored.field(k).type, parts.masks.get(k)) for k in parts.keys}
    return {key: sql for key, sql in found.items() if sql is not None}


def _kinds(parts: Parts) -> dict[str, str]:
    """The state columns that SQL can merge, and how."""
    found = dict[str, str]()
    for state in (state for measure in parts.measures.values() for state in measure.states):
        kind: StateKind = state.kind
        try:
            found[state.column] = merged(kind, state.column, parts.stored.field(state.column).type)
        except NotInSql:
            continue  # said of the measure
    return found


def _shown(parts: Parts) -> tuple[dict[str, str], dict[str, str]]:
    """The columns of the view, and what is left out and why: Trino tells no two names apart by their case."""
    shown, left, taken = dict[str, str](), dict[str, str](), set[str]()

    def show(name: str, sql: str) -> None:
        if name.lower() in taken:
            left[name] = "another column has this name"
        else:
            shown[name] = sql
            taken.add(name.lower())

    for key in _keys(parts):
        show(key, f"m.{quoted(key)}")
    if parts.bucket:
        show("bucket", f"m.{BUCKET}")
    left |= {key: MASKED for key in parts.keys if key not in _keys(parts)}
    left |= {name: MASKED for name in parts.measures if name in parts.masks}
    stored = {field.name: field.type for field in parts.stored}
    for name, measure in parts.measures.items():
        columns, missing = ({}, {}) if name in parts.masks else offered(name, measure, stored)
        left |= missing
        for column, sql in columns.items():
            show(column, sql)
    attributes = [(d, attribute) for d in parts.dimensions for attribute in d.columns]
    names = [attribute.lower() for _, attribute in attributes]
    for d, attribute in attributes:
        alone = names.count(attribute.lower()) == 1 and attribute.lower() not in taken
        name = attribute if alone else f"{d.name}__{attribute}"
        if {d.key, attribute, f"{d.name}.{attribute}"} & parts.masks.keys():
            left[name] = MASKED
        else:
            show(name, f"{quoted(f'of {d.name}')}.{quoted(d.columns[attribute])}")
    return shown, left


def _seen(column: str, kind: pa.DataType, mask: Mask | None) -> str | None:
    """A key in the form of its mask; None where it has none here: a view's text would show a hash's salt."""
    if mask is None:
        return column
    match mask.kind:
        case "last":
            tail = f"IF(length({column}) > {mask.n}, substr({column}, -{mask.n}), '')"
            return f"IF({column} IS NOT NULL, '***' || {tail})"
        case "bucket":
            n = f"CAST({mask.n} AS {sql_type(kind)})"
            return f"{column} - mod(mod({column}, {n}) + {n}, {n})"
    return None


def _joined(parts: Parts) -> str:
    """The joins of the dimensions. A CSV's keys are text, whatever the view's are."""
    return "".join(
        f"\nLEFT JOIN {d.table} {quoted(f'of {d.name}')}"
        f' ON TRY_CAST({quoted(f"of {d.name}")}."key" AS {sql_type(parts.stored.field(d.key).type)})'
        f" = m.{quoted(d.key)}"
        for d in parts.dimensions
        if d.key not in parts.masks
    )
