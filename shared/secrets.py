"""The secrets that this process has read, and how they are kept out of what it says."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

LEAST = 4
"""Characters of a secret. A shorter one hides nothing, and would be taken out of words that only hold it."""
GONE = "[redacted]"

_known: set[str] = set()
_HEADER = r"""(?i)(authorization(?:\\?["']\s*[:=,]|\s*[:=])\s*)b?(?:'[^'\r\n]*'|"[^"\r\n]*"|[^\r\n]*)"""
_SHAPES = (
    (re.compile(_HEADER), rf"\1{GONE}"),
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{8,}"), rf"\1 {GONE}"),
    (re.compile(r"dvt_[\w.-]+"), GONE),
    (re.compile(r"/embed/[\w.-]+"), f"/embed/{GONE}"),
)
"""What is a secret whoever sent it: an Authorization header, a bearer's token, a key of ours, a signed link."""


def know(secret: str) -> str:
    """Gives a secret back, and remembers it: with its lines and quoted parts, which a client may take out of it."""
    for part in (secret, *secret.splitlines(), *re.findall(r'"([^"\n]+)"', secret)):
        if len(part) >= LEAST:
            _known.update((part, repr(part)[1:-1], json.dumps(part)[1:-1], quote(part, safe=""), quote_plus(part)))
    return secret


def redacted(text: str) -> str:
    """The text without any secret that is known here, nor what has the shape of one.

    >>> redacted("GET / Authorization: Bearer abc.def, by dvt_4f2a")
    'GET / Authorization: [redacted]'
    """
    for secret in sorted(_known, key=len, reverse=True):  # one may hold another
        text = text.replace(secret, GONE)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text
