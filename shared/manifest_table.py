"""The manifest, kept in Delta: each replacement is a row, so the table is also its history."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger import LostRace, VersionId
from dovetail.shared.manifest import Admitted, Manifest, Pin, Run, RunId
from dovetail.shared.position import Position, Range
from dovetail.shared.tables import AppendTable

FORMAT = 4
"""2: `failed` came; 3: `staged` and `replaced`; 4: `left` and `imports`. Older rows have none of them."""
SCHEMA = pa.schema(
    [
        ("revision", pa.int64()),
        ("generation", pa.int64()),
        ("view", pa.string()),
        ("manifest", pa.string()),
        ("note", pa.string()),
        ("at", pa.float64()),
        ("format", pa.int32()),
    ]
)


class DeltaManifest:
    """A ManifestStore in a Delta table; the row of the largest revision is the manifest."""

    def __init__(self, path: Path) -> None:
        self._table = AppendTable(path, SCHEMA)
        self._last: Manifest | None = None

    def read(self) -> Manifest | None:
        if self._last is None:
            self._table.skip_to_end()  # before the look, so that a row appended meanwhile is still fresh
            revision = self._table.largest("revision")
            if revision is None:
                return None
            self._last = _manifest(self._table.between("revision", revision, revision).to_pylist()[0])
        for row in [r for table in self._table.fresh() for r in table.to_pylist()]:
            if row["revision"] > self._last.revision:
                self._last = _manifest(row)
        return self._last

    def history(self) -> list[Manifest]:
        """Every manifest there was, oldest first."""
        rows = self._table.read().to_pylist()
        return [_manifest(r) for r in sorted(rows, key=lambda r: r["revision"])]

    def swap(self, new: Manifest) -> None:
        new = replace(new, at=time.time())

        def unchanged() -> bool:
            now = self.read()
            return (now.revision if now else -1) == new.revision - 1

        row = {
            "revision": new.revision,
            "generation": new.generation,
            "view": new.view,
            "manifest": json.dumps(_stored(new), sort_keys=True),
            "note": new.note,
            "at": new.at,
            "format": FORMAT,
        }
        if not self._table.append_if(pa.Table.from_pylist([row], schema=SCHEMA), unchanged):
            raise LostRace(f"the manifest of {new.view} was replaced by another writer")


def _stored(manifest: Manifest) -> dict[str, Any]:
    return {
        "runs": [_stored_run(r) for r in manifest.runs],
        "rollback": [[_stored_run(r) for r in runs] for runs in manifest.rollback],
        "floors": dict(manifest.floors),
        "pins": {k: asdict(p) for k, p in manifest.pins.items()},
        "staged": [[_stored_run(r) for r in runs] for runs in manifest.staged],
        "replaced": dict(manifest.replaced),
        "left": dict(manifest.left),
    }


def _stored_run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "version": run.version,
        "from_seq": run.from_seq,
        "to_seq": run.to_seq,
        "from": run.range.from_.as_json(),
        "to": run.cut.as_json(),
        "state_rows": run.state_rows,
        "records": run.records,
        **({"lacks": run.lacks} if run.lacks else {}),
        **({"failed": run.failed} if run.failed else {}),
        **({"plan": run.plan} if run.plan else {}),
        **({"imports": [asdict(each) for each in run.imports]} if run.imports else {}),
    }


def _run(stored: dict[str, Any]) -> Run:
    return Run(
        id=RunId(stored["id"]),
        version=VersionId(stored["version"]),
        from_seq=stored["from_seq"],
        to_seq=stored["to_seq"],
        range=Range(Position.from_json(stored["from"]), Position.from_json(stored["to"])),
        state_rows=stored["state_rows"],
        records=stored["records"],
        lacks=stored.get("lacks", ""),
        failed=stored.get("failed", 0),
        plan=stored.get("plan", ""),
        imports=tuple(Admitted(**each) for each in stored.get("imports", ())),
    )


def _manifest(row: dict[str, Any]) -> Manifest:
    if row["format"] > FORMAT:
        raise IntegrityError(
            f"manifest format {row['format']} is newer than this Dovetail reads ({FORMAT})",
            next="install the version of Dovetail that wrote it, or a newer one",
        )
    try:
        return _parsed(row, json.loads(row["manifest"]))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"the manifest of {row['view']}, revision {row['revision']}, is torn: {error}") from error


def _parsed(row: dict[str, Any], stored: dict[str, Any]) -> Manifest:
    return Manifest(
        view=row["view"],
        revision=row["revision"],
        generation=row["generation"],
        runs=tuple(_run(r) for r in stored["runs"]),
        rollback=tuple(tuple(_run(r) for r in runs) for runs in stored["rollback"]),
        floors={VersionId(v): s for v, s in stored["floors"].items()},
        pins={RunId(k): Pin(VersionId(p["version"]), p["seq"], p["owner"]) for k, p in stored["pins"].items()},
        staged=tuple(tuple(_run(r) for r in runs) for runs in stored.get("staged", ())),
        replaced={VersionId(v): at for v, at in stored.get("replaced", {}).items()},
        left={VersionId(v): generation for v, generation in stored.get("left", {}).items()},
        note=row["note"],
        at=row["at"],
    )
