"""The page on pushes: what it declares can be declared, and its receiver takes what is ours and nothing else."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from dovetail.pushing.deliver import signature
from dovetail.shared.push import Push

PAGE = (Path(__file__).parents[2] / "docs" / "push.md").read_text("utf-8")


def known() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, names)
    return names


def test_its_declarations_are_pushes() -> None:
    found = {name: value for name, value in known().items() if isinstance(value, Push)}
    assert [*found] == ["crm", "low"]
    assert found["low"].fires({"revenue": 99, "lines": 3})


def test_its_receiver_knows_what_is_ours() -> None:
    is_ours, now = known()["is_ours"], int(time.time())
    assert is_ours(b"secret", signature(b"secret", b"{}", now), b"{}")
    assert not is_ours(b"secret", signature(b"other", b"{}", now), b"{}")
    assert not is_ours(b"secret", signature(b"secret", b"{}", now), b"[]")
    assert not is_ours(b"secret", signature(b"secret", b"{}", now - 400), b"{}")
