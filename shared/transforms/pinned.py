"""A join with a small table whose content is part of the declaration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared import ddl
from dovetail.shared.caller import place
from dovetail.shared.errors import DeclarationError
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep, kind_of
from dovetail.shared.transforms.sql import identifier

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField

LIMIT = 4_000_000
"""Bytes of a file, and of its rows in memory: they go to the engine with every micro-batch."""
FORMATS = ("csv", "json", "parquet")


def lookup(path: str | Path, *, on: str | Sequence[str] | Mapping[str, str], schema: str | None = None) -> Step:
    r"""Adds the columns of a small table to the rows whose key it holds; nulls to all others.

    The file is read where this is declared, and its content is part of the view: both layers use what it held then, and
    another content makes another version of the view. So declare it at the top of a file, not inside a function. For a
    table that is to be corrected without a rebuild, there is `dv.dimension`.

    Its rows go to the engine with every micro-batch, which is why it is to be small.

    A key that the file holds twice, or that is null there, is refused. A null key of a row finds nothing.

    Args:
        path: a file of the project, relative to the one that declares it, of 4 MB at most: `.csv` with a header, in
            UTF-8, where nothing between two commas is null; `.json`, a list of objects; or `.parquet`.
        on: the key, by its column or columns; where they are called otherwise in the file, a mapping from the rows'
            column to the file's.
        schema: the columns that are taken and their types, as Spark DDL. Where not given, all: CSV as text, JSON and
            Parquet as they are.

    Example:
        >>> _ = Path("products.csv").write_text("code,line,msrp\nS18,Vintage Cars,60.54\nS24,Planes,\n")
        >>> with_product = dv.transforms.lookup(
        ...     "products.csv", on={"product": "code"}, schema="code string, line string, msrp decimal(10,2)"
        ... )
        >>> lines = spark.createDataFrame([(1, "S18"), (2, "S24"), (3, "S99"), (4, None)], "id int, product string")
        >>> lines.transform(with_product).orderBy("id").show()
        +---+-------+------------+-----+
        | id|product|        line| msrp|
        +---+-------+------------+-----+
        |  1|    S18|Vintage Cars|60.54|
        |  2|    S24|      Planes| NULL|
        |  3|    S99|        NULL| NULL|
        |  4|   NULL|        NULL| NULL|
        +---+-------+------------+-----+
    """
    given = Given("lookup", place())
    file = (given.where.file.parent / path).resolve()
    kind = given.one_of("the ending of path", file.suffix.removeprefix(".").lower(), FORMATS)
    keys = given.pairs(on, "{'product': 'code'}") if isinstance(on, Mapping) else [(c, c) for c in given.columns(on)]
    given.once([column for _, column in keys])
    taken = tuple(ddl.columns(schema, where=str(given.where)).items()) if schema is not None else None
    step = Lookup(
        path=file, content=_content(given, file), kind=kind, on=tuple(sorted(keys)), schema=taken, where=given.where
    )
    if step.content is not None:
        _ = step.table  # so that what is wrong with it is said here
    return step


@dataclass(frozen=True, kw_only=True)
class Lookup(RowStep):
    """`content` is None where the file is not there.

    That is only said when it is needed: a stored version holds the files of its own view, while its code declares
    all views of the project.
    """

    name: ClassVar[str] = "lookup"
    path: Path = field(compare=False)
    content: bytes | None = field(repr=False)
    kind: str
    on: tuple[tuple[str, str], ...]
    schema: tuple[tuple[str, str], ...] | None

    @cached_property
    def table(self) -> pa.Table:
        """Its rows."""
        from dovetail.shared.transforms import small_table  # brings Arrow, which few declarations need

        try:
            table = small_table.read(self.content or b"", self.kind, schema=self.schema)
            small_table.check(table, keys=[column for _, column in self.on], limit=LIMIT)
        except (ValueError, OverflowError) as error:
            raise DeclarationError(f"{self.name}: {self.path.name}: {error}", where=str(self.where)) from None
        return table

    def applied(self, rows: DataFrame) -> DataFrame:
        from pyspark.sql import functions as F

        small = rows.sparkSession.createDataFrame(self.table)
        mine = self.found(rows, [column for column, _ in self.on])
        hidden = {column: f"_key_{n}" for n, (_, column) in enumerate(self.on)}
        for my_key, column in zip(mine, hidden, strict=True):
            self._check_fit(my_key, small.schema[column])
        self.check_distinct([*rows.columns, *[c for c in small.columns if c not in hidden]])
        renamed = small.toDF(*[hidden.get(c, c) for c in small.columns])
        pairs = zip(mine, hidden.values(), strict=True)
        same = " AND ".join([f"{identifier(f.name)} = {identifier(column)}" for f, column in pairs])
        return rows.join(renamed.hint("broadcast"), on=F.expr(same), how="left").drop(*hidden.values())

    def _check_fit(self, mine: StructField, theirs: StructField) -> None:
        if kind_of(mine.dataType) != kind_of(theirs.dataType):
            held = f"'{theirs.name}' of {self.path.name} is {theirs.dataType.simpleString()}"
            raise self.refusal(f"column '{mine.name}' is {mine.dataType.simpleString()}, and {held}: give schema=")

    def meaning(self) -> Mapping[str, object]:
        return {**super().meaning(), "content": hashlib.sha256(self.content or b"").hexdigest()}

    @property
    def told(self) -> str:
        return f"lookup {self.path.name}"

    @property
    def files(self) -> Mapping[Path, bytes]:
        return {} if self.content is None else {self.path: self.content}

    @property
    def lacks(self) -> str:
        return f"the file {self.path} is not there" if self.content is None else ""

    def flaws(self, project: Path) -> Iterator[str]:
        yield from super().flaws(project)
        if not self.path.is_relative_to(project.resolve()):
            yield f"{self.path} is not under the project's folder: a stored version could not hold it"


def _content(given: Given, file: Path) -> bytes | None:
    try:
        size = file.stat().st_size
        if size > LIMIT:
            raise given.refuse(
                f"{file.name} holds {size:,} bytes, and {LIMIT:,} are the most",
                next="keep the columns that are needed, or declare it as a dv.dimension",
            )
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise given.refuse(f"{file} cannot be read: {error.strerror}") from None
