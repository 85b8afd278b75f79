"""What may be asked of a view, and how it is written as JSON and as a URL."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeAlias, TypedDict

from dovetail.client.errors import Refused
from dovetail.shared.duration import length
from dovetail.shared.errors import unknown

Value: TypeAlias = str | int | float | Decimal | datetime | date | bytes | None
Condition: TypeAlias = Value | Sequence[Value] | Mapping[str, Value | Sequence[Value]]
"""A value, several of which one must hold, or these by operator: `{"gte": 10}`; None stands for null."""
Time: TypeAlias = datetime | date | str | None
Length: TypeAlias = timedelta | str | None
Names: TypeAlias = str | Sequence[str] | None


class Question(TypedDict, total=False):
    """The fields of a question; what is left out or None is not asked. The server's /docs says more of each.

    - `by`: keys, or columns of dimensions, to group by. `measures`: what to answer; all where left out.
    - `where`: conditions on keys, `{"country": ["FR", None], "price": {"gte": 10}}`; operators are
      `lt lte gt gte prefix not`. `having`: the same on measures of the answer.
    - `start`, `end` (excluded): a time without an offset is in the zone `tz`. `bucket`: group by time too, as in `1d`.
      `window`: merge so much time up to the end of each bucket. `fill`: rows for empty buckets too.
    - `order_by`: columns, a `-` before those that descend. `limit`: the most rows. `cursor`: a receipt's `next`.
    - `layer`: what `batch` or `speed` alone holds, not both.
    - `as_of`: the id of a receipt, for the answer of then. `at_least`: wait for this ledger seq, or this record
      (`2@3141`). `max_age`: wait for an answer no older than that. `timeout`: wait so many seconds at most.
      `complete=True`: raise Incomplete rather than answer with gaps.
    """

    by: Names
    measures: Names
    where: Mapping[str, Condition] | None
    having: Mapping[str, Condition] | None
    start: Time
    end: Time
    bucket: Length
    window: Length
    fill: Literal["zero", "null"] | None
    tz: str | None
    order_by: Names
    limit: int | None
    cursor: str | None
    as_of: str | None
    at_least: int | str | None
    max_age: int | Length
    complete: bool
    layer: Literal["batch", "speed"] | None
    timeout: float | None


def body(asked: Question) -> dict[str, Any]:
    """The question as the JSON body of a POST.

    Raises:
        TypeError: there is no such field, or a value is of a type that no key has.
    """
    for name in asked:
        if name not in Question.__annotations__:
            raise TypeError(unknown("field of a question", name, Question.__annotations__))
    given = {name: plain(value) for name, value in asked.items() if value is not None}
    return {**given, "complete": "required"} if given.pop("complete", False) else given


def parameters(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    r"""The same body as the parameters of a GET.

    Raises:
        Refused: a condition has no values, which a URL cannot say; the server refuses it in a body.

    >>> parameters({"by": ["a", "b"], "where": {"a": ["x,y", None], "n": {"gte": 1}}})
    [('by', 'a,b'), ('where.a', 'x\\,y'), ('where.a.null', 'true'), ('where.n.gte', '1')]
    """
    found: list[tuple[str, str]] = []
    for name, value in fields.items():
        if name in ("where", "having"):
            for key, given in value.items():
                for op, values in (given if isinstance(given, dict) else {"in": given}).items():
                    found += _condition(f"{name}.{key}" + ("" if op == "in" else f".{op}"), _listed(values))
        else:
            found.append((name, ",".join(map(_text, _listed(value)))))
    return found


def plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO 8601, decimals as text, bytes in base64, whatever can be listed as a list.

    Raises:
        TypeError: it is of a type that no key has.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):  # JSON has no NaN and no infinity: they would be asked for as null
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, timedelta):
        whole, rest = divmod(value, timedelta(seconds=1))
        return f"{value // timedelta(milliseconds=1)}ms" if rest else length(whole)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):  # of NumPy, pandas and Arrow
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    raise TypeError(f"{value!r} is a {type(value).__name__}: no text, number, time, list or mapping")


def _condition(name: str, values: Sequence[Any]) -> list[tuple[str, str]]:
    if not values:
        raise Refused(f"{name} has no value", next="give one, or None")
    present = [_text(v).replace("\\", "\\\\").replace(",", "\\,") for v in values if v is not None]
    found = [(name, ",".join(present))] if present else []
    return [*found, (f"{name}.null", "true")] if None in values else found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
