"""What a source's registry has said of ids, kept with the storage: how a record is read never changes later.

A schema is kept for good once it was told. That an id is unknown is kept too, as far as it was asked: by the way of
decoding that asked and per partition, below which offset. A record below it stays unread for that way of decoding, also
when the id is registered later, or the layers would come to differ; one from there on is asked about anew. Who decodes
otherwise, as a version with a larger `attempt` does, asks by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import CommitFailedError

from dovetail.shared.registry import Schema
from dovetail.shared.tables import AppendTable

SCHEMA = pa.schema(
    [
        ("registry", pa.string()), ("id", pa.int64()), ("kind", pa.string()), ("texts", pa.string()),
        ("decoder", pa.string()), ("partition", pa.int32()), ("below", pa.int64()),
    ]
)  # fmt: skip
FILES = 50
"""So many small files are joined."""
Seen = Mapping[int, Mapping[int, int]]
"""By schema id and partition the largest offset of the records that name it."""
Ask = Callable[[int], Schema | None]


@dataclass(frozen=True)
class Known:
    """Schemas by id, and by id and partition the offset below which one counts as unknown."""

    schemas: Mapping[int, Schema] = field(default_factory=dict)
    unknown: Mapping[int, Mapping[int, int]] = field(default_factory=dict)

    def open(self, seen: Seen) -> list[int]:
        """The ids of which it is not known what becomes of every record."""
        return [
            number
            for number, offsets in seen.items()
            if number not in self.schemas
            and any(offset >= self.unknown.get(number, {}).get(p, 0) for p, offset in offsets.items())
        ]


class KeptSchemas:
    """The table of one source, for one registry and one way of decoding."""

    def __init__(self, path: Path, registry: str, decoder: str) -> None:
        self._table = AppendTable(path, SCHEMA)
        self._registry, self._decoder = registry, decoder

    def settled(self, seen: Seen, ask: Ask) -> Known:
        """What is known, so that nothing is open of the records seen; asks, and keeps what was said, where it must.

        Raises:
            ServiceMissing: the registry does not answer; what it said before stays.
        """
        said: dict[int, Schema | None] = {}
        while True:
            count, known = self._read()
            if not (missing := known.open(seen)):
                return known
            said |= {number: ask(number) for number in missing if number not in said}
            rows = [row for number in missing for row in self._rows(number, said[number], seen[number])]
            # Only next to what was read: who was faster may have found an id unknown, and is believed.
            self._table.append_if(pa.Table.from_pylist(rows, SCHEMA), partial(self._is_at, count))
            if self._table.files > FILES:  # of an id that stays unknown a row comes with every commit
                with suppress(CommitFailedError):  # another process did the same
                    self._table.compact()

    def _is_at(self, count: int) -> bool:
        return self._read()[0] == count

    def _rows(self, number: int, said: Schema | None, offsets: Mapping[int, int]) -> list[dict[str, object]]:
        row = {"registry": self._registry, "id": number}
        if said is not None:
            return [{**row, "kind": said.kind, "texts": json.dumps(said.texts)}]
        return [{**row, "decoder": self._decoder, "partition": p, "below": o + 1} for p, o in offsets.items()]

    def _read(self) -> tuple[int, Known]:
        rows = self._table.read().to_pylist()
        schemas: dict[int, Schema] = {}
        unknown: dict[int, dict[int, int]] = {}
        for row in rows:
            if row["registry"] == self._registry and row["texts"] is not None:
                schemas.setdefault(row["id"], Schema(row["kind"], tuple(json.loads(row["texts"]))))
            elif (row["registry"], row["decoder"]) == (self._registry, self._decoder):
                offsets = unknown.setdefault(row["id"], {})
                offsets[row["partition"]] = max(offsets.get(row["partition"], 0), row["below"])
        return len(rows), Known(schemas, unknown)
