"""Values that not everybody is to see: hashed, or with most of it hidden."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from dovetail.shared.caller import place
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep
from dovetail.shared.transforms.sql import identifier, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PLAIN = ("text", "number", "boolean", "date", "timestamp")


def hash_columns(columns: str | Sequence[str], *, salt: str) -> Step:
    """Values as their SHA-256 with a salt, in 64 hexadecimal digits: equal values stay equal, and none can be read.

    The hash is of the salt and then the value as `cast(… AS string)` writes it, both in UTF-8. Null stays null.

    The salt is a secret: whoever has it finds every value that can be guessed, such as a telephone number, by trying.
    So write `salt="env:CUSTOMER_SALT"`, and set that variable for the batch and the speed layer; nothing else needs
    it. The stored version then holds no salt, but its fingerprint knows it: another salt is another version, and a
    layer that is given the wrong one refuses to run. Those who may read the engine's plans can see it.

    Args:
        columns: which ones: text, numbers, booleans, dates and times.
        salt: at least 8 characters, or `env:NAME` for those in an environment variable.

    Example:
        >>> people = spark.createDataFrame([("ada@example.org",), (None,)], "email string")
        >>> people.transform(dv.transforms.hash_columns("email", salt="not a secret any more")).show()
        +--------------------+
        |               email|
        +--------------------+
        |9d460c25394923ccf...|
        |                NULL|
        +--------------------+
    """
    given = Given("hash_columns", place())
    if not isinstance(salt, str):
        raise given.refuse("salt must be text")
    variable = salt.removeprefix("env:") if salt.startswith("env:") else ""
    known = os.environ.get(variable) if variable else salt
    if known is not None and len(known) < MIN_SALT:
        raise given.refuse(f"the salt has less than {MIN_SALT} characters", next=_MAKE)
    return HashColumns(columns=given.columns(columns), salt=known, variable=variable, where=given.where)


MIN_SALT = 8
_MAKE = "make one: python -c 'import secrets; print(secrets.token_hex())'"


@dataclass(frozen=True, kw_only=True)
class HashColumns(RowStep):
    """`salt` is None where its variable is not set: what only reads declarations, as serving does, needs no secret."""

    name: ClassVar[str] = "hash_columns"
    columns: tuple[str, ...]
    salt: str | None = field(repr=False)
    variable: str = field(compare=False)

    def applied(self, rows: DataFrame) -> DataFrame:
        salt = text(self.salt or "")
        salted = {
            f.name: f"concat({salt}, cast({identifier(f.name)} AS string))"
            for f in self.found(rows, self.columns, kinds=PLAIN)
        }
        return self.replaced(rows, {name: f"sha2({sql}, 256)" for name, sql in salted.items()})

    def meaning(self) -> Mapping[str, object]:
        return {"columns": self.columns, "salt": hashlib.sha256((self.salt or "").encode()).hexdigest()}

    @property
    def lacks(self) -> str:
        return f"the variable {self.variable} of the salt is not set" if self.salt is None else ""


def mask(columns: str | Sequence[str], *, keep: int = 0, character: str = "*") -> Step:
    """Values with their characters hidden, all or all but the last.

    A value of at most `keep` characters is hidden whole. The length still shows. Null stays null. What was no text
    becomes text. Characters are Unicode's code points.

    Args:
        columns: which ones: text, numbers, booleans, dates and times.
        keep: how many characters at the end are left to see.
        character: what stands for a hidden one.

    Example:
        >>> cards = spark.createDataFrame([("5555444433332222",), ("2222",)], "card string")
        >>> cards.transform(dv.transforms.mask("card", keep=4)).show()
        +----------------+
        |            card|
        +----------------+
        |************2222|
        |            ****|
        +----------------+
    """
    given = Given("mask", place())
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
        raise given.refuse(f"keep={keep!r} is no number of characters")
    if not isinstance(character, str) or len(character) != 1:
        raise given.refuse(f"character={character!r} is not one character")
    return Mask(columns=given.columns(columns), keep=keep, character=character, where=given.where)


@dataclass(frozen=True, kw_only=True)
class Mask(RowStep):
    name: ClassVar[str] = "mask"
    columns: tuple[str, ...]
    keep: int
    character: str

    def applied(self, rows: DataFrame) -> DataFrame:
        fields = self.found(rows, self.columns, kinds=PLAIN)
        return self.replaced(rows, {f.name: self._masked(f"cast({identifier(f.name)} AS string)") for f in fields})

    def _masked(self, sql: str) -> str:
        hidden, keep = text(self.character), self.keep
        partly = f"concat(repeat({hidden}, length({sql}) - {keep}), right({sql}, {keep}))"
        return f"CASE WHEN length({sql}) <= {keep} THEN repeat({hidden}, length({sql})) ELSE {partly} END"
