"""What every transform of the library is: a frozen value that is called with rows and gives rows.

Here is what is known of it without Spark: serving reads declarations too. `rows` has what it does to rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail.shared.caller import Place
from dovetail.shared.errors import DeclarationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VERSIONS = {
    "bin": 1,
    "cast": 1,
    "derive": 1,
    "explode_items": 1,
    "flatten": 1,
    "hash_columns": 1,
    "lookup": 1,
    "map_values": 1,
    "mask": 1,
    "parse_timestamps": 1,
    "rename": 1,
    "standardise": 1,
    "trim_empty_to_null": 1,
}
"""Count one up when a transform comes to give other rows: views that use it are then other versions."""


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """A transform with its arguments: equal to another one that does the same.

    A list of them, and of the user's own functions, is a view's `transform`; `df.transform` takes one too.

    Attributes:
        where: the user's file and line; no part of what it does.
    """

    name: ClassVar[str]
    where: Place = field(compare=False, repr=False)

    @abstractmethod
    def __call__(self, rows: DataFrame) -> DataFrame:
        """What becomes of `rows`.

        Raises:
            UserCodeError: a column is not there or of the wrong type, or two would have one name.
        """

    def meaning(self) -> Mapping[str, object]:
        """What decides what it does, for the fingerprint of the views that use it. Holds no secret."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}

    @property
    def told(self) -> str:
        """As people are told of it."""
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.meaning().items())})"

    @property
    def files(self) -> Mapping[Path, bytes]:
        """The files whose content is part of it, as they were when it was declared."""
        return {}

    @property
    def lacks(self) -> str:
        """What it cannot do without and was not there when it was declared; empty where all was there."""
        return ""

    def check_whole(self) -> None:
        """Raises DeclarationError where it lacks something."""
        if self.lacks:
            raise DeclarationError(f"{self.name}: {self.lacks}", where=str(self.where))

    def flaws(self, project: Path) -> Iterator[str]:  # noqa: ARG002
        """What `dovetail check` refuses in it."""
        if self.lacks:
            yield self.lacks


def library_name(value: Callable[..., Any]) -> str | None:
    """The name of a factory of this library; None for any other function."""
    ours = (getattr(value, "__module__", None) or "").startswith(f"{__package__}.")
    name = getattr(value, "__name__", "")
    return name if ours and name in VERSIONS else None
