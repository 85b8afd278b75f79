"""An answer as a document of its own, which others may have in a frame of theirs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import orjson
import pyarrow as pa

from dovetail.serving.answer import Shown
from dovetail.serving.query import Plan

is_: Any = pa.types
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; frame-ancestors *; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
"""Only here may the document be framed by any other, which gets nothing from it: the link is all that it knows."""
DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../page.css">
<script type="module" src="../embed.js"></script>
</head>
<body>
<main>
<h1>{title}</h1>
<div class="wide" tabindex="0" role="region" aria-label="Rows of the answer"><table id="rows">{rows}</table></div>
<p id="receipt">{receipt}</p>
<p id="problem" role="status"></p>
</main>
</body>
</html>
"""


def document(shown: Shown, plan: Plan, receipt: Mapping[str, Any]) -> bytes:
    """The rows as a table, a bar in each cell of the first measure, and the receipt in words; whatever a value holds is
    text in it."""
    by = ", ".join([*plan.by, *(["time"] if plan.bucket else [])])
    title = f"{receipt['view']}: {', '.join(plan.measures)}" + (f" by {by}" if by else "")
    texts = {"title": escape(title), "rows": _table(shown, plan), "receipt": escape(_told(receipt))}
    return DOCUMENT.format(**texts).encode()


def _table(shown: Shown, plan: Plan) -> str:
    names, first = [*shown.kinds], plan.measures[0]
    numbers = {name for name in plan.measures if _is_number(shown.kinds[name])}
    heads = "".join(f'<th scope="col"{_kind(n, numbers)}>{escape(n)}</th>' for n in names)
    rows = shown.as_dicts()
    bars = _bars([row[first] for row in rows]) if first in numbers else [""] * len(rows)
    body = "".join(
        "<tr>" + "".join(_cell(n, row[n], numbers, bar if n == first else "") for n in names) + "</tr>"
        for row, bar in zip(rows, bars, strict=True)
    )
    return f"<thead><tr>{heads}</tr></thead><tbody>{body or '<tr><td>No rows.</td></tr>'}</tbody>"


def _is_number(kind: pa.DataType) -> bool:
    return bool(is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind))


def _cell(name: str, value: Any, numbers: Container[str], bar: str) -> str:
    if value is None:
        return f'<td{_kind(name, numbers)}><span class="null">null</span></td>'
    text = f"{_number(value):,}" if name in numbers else _text(value)
    return f"<td{_kind(name, numbers)}>{escape(text)}{bar}</td>"


def _kind(name: str, numbers: Container[str]) -> str:
    return ' class="number"' if name in numbers else ""


def _bars(values: Sequence[Any]) -> list[str]:
    """A bar for each value, none of them where one is below 0 or not finite."""
    numbers = [_number(0 if value is None else value) for value in values]
    if any(not n.is_finite() or n < 0 for n in numbers):
        return [""] * len(numbers)
    most = max((n for n in numbers if n), default=Decimal(1))
    return [f'<svg aria-hidden="true"><rect height="100%" width="{float(n / most):.2%}"/></svg>' for n in numbers]


def _number(value: Any) -> Decimal:
    """A number as JSON has it: decimals, NaN and the infinities are texts there."""
    return Decimal(str(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _told(receipt: Mapping[str, Any]) -> str:
    seconds = receipt["behind"]["seconds"]
    told = [
        f"Up to seq {receipt['seq']}",
        "how far behind is not known" if seconds is None else f"{seconds} s behind",
        *(["records that are gone are missing"] if not receipt["complete"] else []),
        *([f"approximate: {', '.join(receipt['approximate'])}"] if receipt["approximate"] else []),
        *([f"of the {receipt['layer']} layer alone"] if "layer" in receipt else []),
        *(["the limit cut rows off"] if receipt.get("more") else []),
        f"receipt {receipt['id']}",
    ]
    return "; ".join(told)
