"""What rules are given: values that become SQL, percentages, names. Refused at the user's line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, get_args

from dovetail.shared import duration, percentage
from dovetail.shared.caller import caller
from dovetail.shared.conditions import quoted
from dovetail.shared.errors import DeclarationError, unknown

Otherwise = Literal["warn", "drop", "fail", "quarantine"]
Value = str | bool | int | float | Decimal | date | datetime

FAMILIES = {
    "number": "byte tinyint smallint short int integer bigint long float real double decimal dec numeric".split(),
    "text": ["string"],
    "time": ["date", "timestamp", "timestamp_ntz"],
    "truth": ["boolean"],
}
"""Types that compare with one another."""
_PYTHON = {"number": ["int", "float", "Decimal"], "text": ["str"], "time": ["date", "datetime"], "truth": ["bool"]}


def share(text: str, what: str, where: str, *, most: float = math.inf) -> float:
    found = percentage.share(text)
    if not found or found > most / 100:
        span = "above 0" if most == math.inf else f"above 0 and up to {most:g}%"
        raise DeclarationError(f"{what}={text!r} is not a percentage: write '5%' or '0.5%', {span}", where=where)
    return found


def length(text: str, what: str, where: str, *, like: str) -> timedelta:
    """A length of time of a millisecond or more; `like` is one, as `what` is written with it."""
    try:
        found = duration.parse(text)
    except (DeclarationError, TypeError):
        found = timedelta(0)
    if found < timedelta(milliseconds=1):
        name = what.split(": ")[-1]
        raise DeclarationError(
            f"{what}={text!r} is not a length of time", where=where, next=f"write {name}='{like}', say"
        )
    return found


def only_tells(otherwise: Otherwise, what: str, why: str, where: str) -> None:
    """Refuses `otherwise` where it would take records out."""
    if otherwise not in ("warn", "fail"):
        raise DeclarationError(f"{what}: otherwise='{otherwise}' {why}", where=where, next="otherwise='warn' or 'fail'")


def name_of(name: str, where: str) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 500:
        raise DeclarationError("a rule's name is text of 1 to 500 characters", where=where, next="give it name=")
    return " ".join(name.split())


def otherwise_of(value: str, where: str) -> Otherwise:
    if value not in get_args(Otherwise):
        raise DeclarationError(f"rule: {unknown('otherwise', str(value), get_args(Otherwise))}", where=where)
    return value  # type: ignore[return-value]  # one of its literals, as was just seen


def ticked(column: str) -> str:
    if not isinstance(column, str) or not column or "`" in column:
        raise DeclarationError(f"rule: {column!r} is not a column's name", where=caller())
    return f"`{column}`"


def family_of(values: Sequence[Any], what: str, allowed: tuple[str, ...], where: str) -> str:
    families = {_family(v) for v in values}
    if len(families) == 1 and (family := families.pop()) in allowed:
        return family
    wanted = ", ".join(t for family in allowed for t in _PYTHON[family])
    raise DeclarationError(f"{what}: {', '.join(map(repr, values))}: give values of one kind: {wanted}", where=where)


def _family(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float | Decimal):
        return "number" if isinstance(value, int) or math.isfinite(value) else ""
    return "text" if isinstance(value, str) else "time" if isinstance(value, date) else ""


def literal(value: Value) -> str:
    """The value in Spark SQL. A float is written as the decimal it looks like, which decimals compare with exactly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value!r}D" if "e" in repr(value) else repr(value)
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime):
        return f"timestamp'{_in_utc(value).isoformat(sep=' ')}'"
    return f"date'{value.isoformat()}'" if isinstance(value, date) else quoted(value)


def comparable(value: Any) -> Any:
    if isinstance(value, datetime):
        return _in_utc(value)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


WHOLE = {"tinyint", "byte", "smallint", "short", "int", "integer", "bigint", "long"}
FLOATING = {"float", "real", "double"}


def base_type(kind: str) -> str:
    return re.split(r"[(<\s]", kind.lower())[0]
