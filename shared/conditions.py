"""What can be told about a condition in Spark SQL without an engine. Whatever is not certain is left to the engine."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dovetail.shared.rowwise import TEXT

_OPERATOR = r"<=>|<>|!=|==?|<=?|>=?"
_UNFINISHED = re.compile(
    rf"(?:{_OPERATOR}|[-+/%,]|\b(?:and|or|not|is|in|between|like|rlike))\s*(?:\)|$)|\*\s*$", re.IGNORECASE
)
_UNBEGUN = re.compile(rf"(?:^|\()\s*(?:{_OPERATOR}|[/%]|\b(?:and|or)\b)", re.IGNORECASE)
_OPERAND = re.compile(
    rf"(?<![\w.:`'\"])([A-Za-z_]\w*|`[^`]+`)(?:\.\w+)*\s*(?:{_OPERATOR}|\b(?:is|in|between|like|rlike|not)\b)",
    re.IGNORECASE,
)
_NO_COLUMN = frozenset(
    """all and any as asc between by case cast desc distinct div else end escape exists false from ilike in interval is
    like not null or regexp rlike some then true unknown when current_date current_time current_timestamp
    microsecond microseconds millisecond milliseconds second seconds minute minutes hour hours day days week weeks month
    months quarter year years to""".split()
)


def fault(condition: str) -> str:
    """Why a condition cannot be parsed, or nothing.

    >>> fault("quantity > "), fault("(a > 1"), fault("a > 'x"), fault("a = 1 and (b is null or c > 2)")
    ("it ends with '>'", "1 '(' is not closed", "a ' is not closed", '')
    """
    bare = TEXT.sub(lambda m: "" if m[0][:2] in ("--", "/*") else "x", condition).strip()
    for mark in ("'", '"', "`"):
        if mark in bare:
            return f"a {mark} is not closed"
    depth = 0
    for c in bare:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return "a ')' has no '('"
    if depth:
        return f"{depth} '(' {'is' if depth == 1 else 'are'} not closed"
    if ";" in bare:
        return "a condition has no ';'"
    if found := _UNFINISHED.search(bare):
        return f"it ends with '{found[0].rstrip(') ')}'" if bare.endswith(found[0]) else f"nothing follows '{found[0]}'"
    if found := _UNBEGUN.search(bare):
        return f"nothing stands before '{found[0].lstrip('( ')}'"
    return "" if bare else "it says nothing"


def unknown_operand(condition: str, columns: Iterable[str]) -> str:
    """A name on the left of a comparison that is none of `columns`, or nothing. Others are left to the engine.

    >>> unknown_operand("quantiy > 0 and case when day = 1 then 2 end > 1", ["quantity", "day"])
    'quantiy'
    """
    if "->" in condition or re.search(r"\bcollate\b", condition, re.IGNORECASE):  # these bring names of their own
        return ""
    folded = {c.lower() for c in columns}
    bare = TEXT.sub(lambda m: m[0] if m[0][0] == "`" else " ' ", condition)
    names = (m[1] for m in _OPERAND.finditer(bare))
    return next((n.strip("`") for n in names if n.strip("`").lower() not in folded and n.lower() not in _NO_COLUMN), "")


def quoted(text: str) -> str:
    r"""A text as a literal of Spark SQL.

    >>> print(quoted(r"it's \d"))
    'it\'s \\d'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = escaped.replace("${", "\\u0024{")  # which Spark would replace by a variable, also in a quoted text
    return f"'{escaped}'"
