"""The page on feeds: what it declares can be declared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dovetail.shared.feed import Feed, Files, Rest, Table

PAGE = (Path(__file__).parents[2] / "docs" / "feed.md").read_text("utf-8")


def test_its_declarations_are_feeds_and_its_commands_name_them() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, names)
    found = [value for value in names.values() if isinstance(value, Feed)]
    assert [type(feed) for feed in found] == [Files, Table, Rest]
    assert {*re.findall(r"^\$ dovetail feed (\w+)", PAGE, re.MULTILINE)} <= {feed.name for feed in found}
