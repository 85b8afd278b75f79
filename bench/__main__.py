"""Runs the benchmarks, prints their tables and writes bench/results/latest.json. Names as arguments run only those."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import answers, batch, flat, freshness, lookups, quantiles, repeats, reprocess, rollup, scale, start

BENCHES: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "answers": answers.run,
    "rollup": rollup.run,
    "lookups": lookups.run,
    "flat": flat.run,
    "quantiles": quantiles.run,
    "freshness": freshness.run,
    "batch": batch.run,
    "reprocess": reprocess.run,
    "repeats": repeats.run,
    "scale": scale.run,
    "start": start.run,
}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    console = Console()
    chosen = sys.argv[1:] or list(BENCHES)
    results: dict[str, Any] = {"machine": {"python": platform.python_version(), "processor": platform.machine()}}
    for name in chosen:
        console.rule(name)
        with tempfile.TemporaryDirectory(prefix=f"dovetail-bench-{name}-") as folder:
            rows = BENCHES[name](Path(folder))
        results[name] = rows
        console.print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"written to {RESULTS / 'latest.json'}")


def table(rows: list[dict[str, Any]]) -> Table:
    """Rows with the same keys as one table, numbers to the right."""
    shown = Table()
    for name, value in rows[0].items():
        shown.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        shown.add_row(
            *(f"{v:,.3g}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else v for v in row.values())
        )
    return shown


if __name__ == "__main__":
    main()
