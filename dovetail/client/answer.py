"""An answer: rows with their types, and the receipt."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from dovetail.client.errors import ClientError
from dovetail.client.receipt import Receipt

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

RECEIPT = b"dovetail.receipt"
"""The key of the schema's metadata that holds the receipt as JSON."""
END = b"\xff\xff\xff\xff\0\0\0\0"
"""What ends an Arrow IPC stream."""
SHOWN = 20
"""Rows that a notebook shows."""


class Answer:
    """The rows of an answer, as a list, by iteration or as a table, and their receipt."""

    def __init__(self, table: pa.Table, receipt: Receipt) -> None:
        self._table, self.receipt = table, receipt

    @classmethod
    def read(cls, stream: bytes) -> Answer:
        """From an Arrow IPC stream.

        Raises:
            KeyError, OSError, ValueError: it is none, or not whole, or has no receipt.
        """
        if not stream.endswith(END):  # Arrow takes one that was cut off between two batches for whole
            raise ValueError("the answer was cut off")
        table = pa.ipc.open_stream(stream).read_all()
        metadata = dict(table.schema.metadata or {})
        receipt = Receipt.read(orjson.loads(metadata.pop(RECEIPT)))
        return cls(table.replace_schema_metadata(metadata or None), receipt)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A mapping of column to value for each row: Decimal, datetime with its zone, date, None for null."""
        return list(self._table.to_pylist())

    @property
    def more(self) -> bool:
        """Whether the limit cut rows off: `client.pages` goes on."""
        return self.receipt.more

    def to_arrow(self) -> pa.Table:
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """Raises ClientError where pandas is not installed."""
        try:
            import pandas  # noqa: F401  which Arrow needs for it
        except ImportError:
            raise _missing("pandas") from None
        return self._table.to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Raises ClientError where polars is not installed."""
        try:
            import polars
        except ImportError:
            raise _missing("polars") from None
        return polars.DataFrame(self._table)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"<Answer of {len(self):,} row{'' if len(self) == 1 else 's'}: {self.receipt}>"

    def _repr_html_(self) -> str:
        head = self._table.slice(0, SHOWN)
        rows = [_row("td", values) for values in zip(*(c.to_pylist() for c in head.columns), strict=True)]
        cut = f"the first {SHOWN} of {len(self):,} rows; " if len(self) > SHOWN else ""
        more = "; there are more rows" if self.more else ""
        body = f"<thead>{_row('th', head.column_names)}</thead><tbody>{''.join(rows)}</tbody>"
        return f"<table>{body}</table><p>{escape(f'{cut}{self.receipt}{more}')}</p>"


def _row(cell: str, values: Any) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(str(v))}</{cell}>' for v in values)}</tr>"


def _missing(package: str) -> ClientError:
    return ClientError(f"to_{package}() needs {package}, which is not installed", next=f"pip install {package}")
