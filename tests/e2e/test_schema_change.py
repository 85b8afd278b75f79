"""A producer that changes in five ways in mid stream, as docs/schema-change.md shows it, command by command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_system import System, Topic, free_port
from pages import File, follow, steps

from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.states import DeltaStates

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(900)]
PAGE = "schema-change.md"


@pytest.fixture
def system(log: Log, tmp_path: Path) -> Iterator[System]:
    """The project of the page with every layer running."""
    files = {step.name: step.text for step in steps(PAGE) if isinstance(step, File)}
    (tmp_path / "views.py").write_text(files["views.py"])
    (tmp_path / "dovetail.toml").write_text(
        f'[kafka]\nbootstrap = "{log.bootstrap}"\n[serving]\nport = {free_port()}\n[archive]\ntrigger = "1 second"\n'
    )
    with System(tmp_path, Topic(log, "orders.v1", partitions=2), {}) as system:
        for layer in ("archive", "speed"):
            system.start(layer, wait=False)
        system.stack.start("serve", "serve")
        for layer in ("archive", "speed"):
            system.wait_ready(layer)
        yield system
    sys.modules.pop("views", None)


def test_what_can_be_read_goes_on_without_a_rebuild_and_what_clashes_is_kept_under_its_field(system: System) -> None:
    follow(PAGE, system.folder)
    layout = system.project.layout
    [kept] = DeltaStates(layout, "orders").quarantined().to_pylist()
    assert (json.loads(kept["value"])["id"], kept["reason"]) == (5, "price is not int")
    attached = [row for row in DeltaLedger(layout.ledger("orders")).rows() if row.kind == "attach"]
    lives = list(dict.fromkeys(m.live for m in DeltaManifest(layout.manifest("sales")).history()))
    assert len(attached) == len(lives) == 2, "only the full batch makes a version"
    commits = [row.books for row in DeltaLedger(layout.ledger("orders")).rows() if row.kind == "commit"]
    assert (sum(b.consumed for b in commits), sum(b.quarantined for b in commits)) == (6, 1)
