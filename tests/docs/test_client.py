"""The page on the client: its code runs on a real server, in order, and it names every method."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from serving_stand import Stand, ViewSpec, event, serve

from dovetail.client import Client, ClientError, errors

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_its_code_runs(tmp_path: Path) -> None:
    stand = Stand(tmp_path / "data")
    stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", product=2), event(country=None)])
    known: dict[str, Any] = {}
    with serve(tmp_path, stand) as serving:
        serving.rows("sales")
        for block in BLOCKS:
            exec(block.replace("http://127.0.0.1:8000", str(serving.http.base_url)), known)
    assert [row["country"] for row in known["answer"]] == ["DE", "FR", None]
    assert known["again"].receipt.seq == known["answer"].receipt.seq
    assert len(known["rows"]) == 3
    assert [row["country"] for row in known["now"]] == ["DE", "FR"]
    assert (known["known"]["lines"], known["unknown"]["lines"]) == (1, 0)


def test_it_names_every_method_and_every_error() -> None:
    methods = [name for name in vars(Client) if not name.startswith("_")]
    assert [name for name in methods if f"client.{name}(" not in PAGE] == []
    kinds = [k.__name__ for k in vars(errors).values() if isinstance(k, type) and issubclass(k, ClientError)]
    assert [name for name in kinds if f"`{name}`" not in PAGE] == []
