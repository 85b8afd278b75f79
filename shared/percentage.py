"""Percentages as people write them: "5%", "0.5 %"."""

from __future__ import annotations

import re


def share(text: object) -> float | None:
    """The share that a percentage is; None for what is none. How large it may be is for the caller to say.

    >>> share("5%"), share("0.5 %"), share("5")
    (0.05, 0.005, None)
    """
    found = re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*%\s*", text) if isinstance(text, str) else None
    return float(found[1]) / 100 if found else None
