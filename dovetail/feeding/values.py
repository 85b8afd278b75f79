"""Values as JSON without a digit lost: no number passes through a double that is none."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import orjson


def read(text: bytes) -> Any:
    """A JSON document; its numbers are Decimals, with the digits they were written with. Raises ValueError."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refused)


def written(document: object) -> bytes:
    """A document that `read` or `plain` made; raises ValueError for text that is half a character."""
    try:
        return orjson.dumps(document, default=_number)
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None


def plain(value: Any) -> Any:
    """A value of a Parquet column as JSON has it, in the way that Spark reads it as a column of that type."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def key(value: Any) -> bytes | None:
    """A value, or several, as Kafka's key."""
    if value is None or value == "":
        return None
    return value.encode() if isinstance(value, str) else written(plain(value))


def _number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is nothing JSON has")


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
