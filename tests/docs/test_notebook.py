"""The example notebook: it runs from top to bottom on a real server, and its figures are the truth."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import nbformat
import pyarrow as pa
import pytest
from serving_stand import TYPES, Event, Stand, ViewSpec, event, serve

from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.measures import count, sum_

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
LINES = {"S1": "Ships", "S2": "Ships", "C1": "Classic Cars"}
SALES = [
    event(productCode=code, amount=Decimal(amount))
    for code, amount in (("S1", "10.50"), ("S2", "2.25"), ("C1", "99.99"), ("gone", "5.00"))
]
TOLD = """
import json
told = {name: [of.receipt.seq, [{k: str(v) for k, v in row.items()} for row in of]]
        for name, of in (("answer", answer), ("newer", newer), ("again", again))}
print(json.dumps(told))
"""


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs_and_named_among_the_examples() -> None:
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (cell.outputs, cell.execution_count) == ([], None)
    assert "(notebook.ipynb)" in (EXAMPLES / "README.md").read_text("utf-8")


@pytest.mark.long
def test_it_runs_and_its_figures_are_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TYPES, "productCode", pa.string())
    stand = Stand(tmp_path / "data")
    stand.attach(ViewSpec("sales", keys=("productCode",), measures={"lines": count(), "revenue": sum_("amount")}))
    Joins(stand.layout, "sales").set(["products"])
    products = pa.table({"productCode": [*LINES], "productLine": [*LINES.values()]})
    Versions(stand.layout, "products").add(products, key="productCode")
    stand.commit(SALES)
    stand.batch("sales")
    with serve(tmp_path, stand) as serving, selling(stand):
        serving.rows("sales")
        monkeypatch.setenv("DOVETAIL_URL", str(serving.http.base_url))
        executed = run(read())
    told = json.loads(executed.cells[-1].outputs[-1].text)
    for seq, rows in told.values():
        assert rows == truth(stand.events[: stand._counts[seq]]), seq
    assert told["again"] == told["answer"]
    assert told["newer"][0] > told["answer"][0]
    shown = [
        kind for cell in executed.cells[:-1] for output in cell.get("outputs", ()) for kind in output.get("data", ())
    ]
    assert {"image/png", "text/html"} <= {*shown}  # the plot, and the answer as a table


def run(notebook: Any) -> Any:
    """Runs every cell, and one more that tells what they found; raises where one fails."""
    from nbclient import NotebookClient

    notebook.cells.append(nbformat.v4.new_code_cell(TOLD))
    return NotebookClient(notebook, timeout=120, kernel_name="python3").execute()


@contextmanager
def selling(stand: Stand) -> Iterator[None]:
    """Order lines come in all the while."""
    stop = threading.Event()

    def sell() -> None:
        for sale in cycle(SALES):
            stand.commit([sale])
            if stop.wait(0.2):
                return

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        yield
    finally:
        stop.set()
        seller.join()


def truth(events: Sequence[Event]) -> list[dict[str, str]]:
    by_line = defaultdict[str, list[Decimal]](list)
    for e in events:
        by_line[str(LINES.get(e["productCode"]))].append(e["amount"])
    ordered = sorted(by_line.items(), key=lambda of: -sum(of[1]))
    return [{"productLine": line, "lines": str(len(of)), "revenue": str(sum(of))} for line, of in ordered]
