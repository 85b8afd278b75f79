"""Text in one spelling, and nothing written as null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dovetail.shared.caller import place
from dovetail.shared.transforms.base import Step
from dovetail.shared.transforms.given import Given
from dovetail.shared.transforms.rows import RowStep, kind_of
from dovetail.shared.transforms.sql import identifier, text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BLANK = r"[\s\p{Z}\x85]"
"""White space as Unicode has it; `\\s` alone is that of ASCII, to which a no-break space is a letter like any other."""

Case = Literal["lower", "upper", "title"]
Form = Literal["NFC", "NFKC"]


def trimmed(sql: str) -> str:
    """SQL for a text without blanks around it."""
    return f"regexp_replace({sql}, {text(f'^{BLANK}+|{BLANK}+$')}, '')"


def trim_empty_to_null(columns: str | Sequence[str] | None = None) -> Step:
    """Text without blanks around it, and null where nothing is left.

    Blanks are what Unicode calls white space: tabs, line ends and no-break spaces too.

    Args:
        columns: which ones; all text columns where not given.

    Example:
        >>> people = spark.createDataFrame([(1, " Ada "), (2, " "), (3, None)], "id int, name string")
        >>> people.transform(dv.transforms.trim_empty_to_null("name")).show()
        +---+----+
        | id|name|
        +---+----+
        |  1| Ada|
        |  2|NULL|
        |  3|NULL|
        +---+----+
    """
    given = Given("trim_empty_to_null", place())
    return TrimEmptyToNull(columns=None if columns is None else given.columns(columns), where=given.where)


@dataclass(frozen=True, kw_only=True)
class TrimEmptyToNull(RowStep):
    name: ClassVar[str] = "trim_empty_to_null"
    columns: tuple[str, ...] | None

    def applied(self, rows: DataFrame) -> DataFrame:
        texts = [f for f in rows.schema.fields if kind_of(f.dataType) == "text"]
        chosen = texts if self.columns is None else self.found(rows, self.columns, kinds=["text"])
        return self.replaced(rows, {f.name: f"nullif({trimmed(identifier(f.name))}, '')" for f in chosen})


def standardise(
    columns: str | Sequence[str], *, case: Case | None = None, whitespace: bool = True, unicode: Form | None = None
) -> Step:
    """Text in one spelling: Unicode form first, then white space, then case. Null stays null, and empty stays empty.

    Spark 4.2 has no function for Unicode forms: the text goes through ICU, which is part of Spark, by its SQL function
    `reflect`; no Python runs.

    Args:
        columns: which ones; text.
        case: `"lower"`, `"upper"`, or `"title"`: the first letter after each blank large and all others small, as
            Spark's `initcap` has it (`O'neill`).
        whitespace: blanks around are left out, and those inside become one space. Unicode's blanks, as in
            `trim_empty_to_null`.
        unicode: `"NFC"` writes `é` always as one character, never as `e` and an accent; `"NFKC"` also makes `ﬁ` into
            `fi` and `①` into `1`.

    Example:
        >>> cities = spark.createDataFrame([("  SAO   paulo",), ("nantes",)], "city string")
        >>> cities.transform(dv.transforms.standardise("city", case="title", unicode="NFC")).show()
        +---------+
        |     city|
        +---------+
        |Sao Paulo|
        |   Nantes|
        +---------+
    """
    given = Given("standardise", place())
    chosen_case = None if case is None else given.one_of("case", case, tuple(_CASES))
    form = None if unicode is None else given.one_of("unicode", unicode, _FORMS)
    blanks = given.one_of("whitespace", whitespace, (False, True))
    if not (chosen_case or form or blanks):
        raise given.refuse("nothing is asked for: give case=, unicode= or whitespace=True")
    return Standardise(
        columns=given.columns(columns), case=chosen_case, whitespace=blanks, unicode=form, where=given.where
    )


@dataclass(frozen=True, kw_only=True)
class Standardise(RowStep):
    name: ClassVar[str] = "standardise"
    columns: tuple[str, ...]
    case: Case | None
    whitespace: bool
    unicode: Form | None

    def applied(self, rows: DataFrame) -> DataFrame:
        fields = self.found(rows, self.columns, kinds=["text"])
        return self.replaced(rows, {f.name: self._standard(identifier(f.name)) for f in fields})

    def _standard(self, sql: str) -> str:
        if self.unicode:
            # `reflect` calls its method with null too, which ICU does not take.
            compose = f"reflect('com.ibm.icu.text.Normalizer', 'compose', {sql}, {self.unicode == 'NFKC'})"
            sql = f"CASE WHEN {sql} IS NOT NULL THEN {compose} END"
        if self.whitespace:
            sql = f"regexp_replace({trimmed(sql)}, {text(f'{BLANK}+')}, ' ')"
        return f"{_CASES[self.case]}({sql})" if self.case else sql


_FORMS: tuple[Form, ...] = ("NFC", "NFKC")
_CASES: dict[Case, str] = {"lower": "lower", "upper": "upper", "title": "initcap"}
