"""trim_empty_to_null and standardise."""

from __future__ import annotations

import unicodedata

import pytest
from chispa import assert_df_equality

import dovetail as dv
from dovetail.shared.errors import DeclarationError

from .conftest import Table, refusal

pytestmark = [pytest.mark.java, pytest.mark.long]

trim, standardise = dv.transforms.trim_empty_to_null, dv.transforms.standardise

BLANKS = " \t\r\n\v\f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"
ZERO_WIDTH = "\u200b"  # no white space to Unicode, and so a character like any other


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Ada", "Ada"),
        (" Ada  Lovelace\t", "Ada  Lovelace"),
        ("", None),
        (" ", None),
        (BLANKS, None),
        (f"{BLANKS}a{BLANKS}b{BLANKS}", f"a{BLANKS}b"),
        (ZERO_WIDTH, ZERO_WIDTH),
        ("\\s", "\\s"),
        (None, None),
    ],
)
def test_blanks_around_are_left_out_and_nothing_is_null(table: Table, given: str | None, expected: str | None) -> None:
    assert trim("t")(table("t string", (given,))).collect() == [(expected,)]


def test_every_text_column_is_trimmed_where_none_is_named(table: Table) -> None:
    rows = table("a string, n int, b string, s struct<c: string>", (" a ", 1, "", (" ",)))
    done = table("a string, n int, b string, s struct<c: string>", ("a", 1, None, (" ",)))
    assert_df_equality(trim()(rows), done, ignore_nullable=True)
    assert trim(["B"])(rows).collect() == [(" a ", 1, None, (" ",))]
    assert trim()(table("n int", (1,))).collect() == [(1,)]


def test_what_is_no_text_is_not_trimmed(table: Table) -> None:
    assert refusal(trim("n"), table("n int")) == "trim_empty_to_null: column 'n' is int: it takes text"
    assert refusal(trim("m"), table("n int")) == "trim_empty_to_null: unknown column 'm'. Known: n"
    with pytest.raises(DeclarationError, match="no column is named"):
        trim([])


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        ({}, f" a{BLANKS}b \t c ", "a b c"),
        ({}, "   ", ""),
        ({}, None, None),
        ({"whitespace": False, "case": "upper"}, " a  b ", " A  B "),
        ({"case": "lower"}, "ÅNGSTRÖM  İ", "ångström i̇"),
        ({"case": "upper"}, "straße", "STRASSE"),
        ({"case": "title"}, "land OF\u00a0toys", "Land Of Toys"),
        ({"case": "title"}, "o'neill-SMITH", "O'neill-smith"),
        ({"case": "title"}, "éa ǆ", "Éa ǅ"),
        ({"unicode": "NFC"}, "e\u0301", "\u00e9"),
        ({"unicode": "NFC"}, "ﬁ①", "ﬁ①"),
        ({"unicode": "NFKC"}, "ﬁ①\u00a0Ａ", "fi1 A"),
        ({"unicode": "NFKC", "case": "lower"}, None, None),
        ({"unicode": "NFC"}, "", ""),
    ],
)
def test_text_has_one_spelling(
    table: Table, arguments: dict[str, object], given: str | None, expected: str | None
) -> None:
    assert standardise("t", **arguments)(table("t string", (given,))).collect() == [(expected,)]


NASTY = [
    "Hangul 각 각 각", "q\u0307\u0323", "\u1e9b\u0323", "Å Å", "\U0001d15e", "👩‍👩‍👧 🇫🇷", "ΐ ΐ", "שּׁ", "क़", "ſt ẛ",
    "\ufdfa", "½ ㎏ ㍿", "ｶﾞ", "\u0344", "a\u0315\u0300\u05ae\u0300b",
]  # fmt: skip


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_the_unicode_forms_are_those_of_the_standard(table: Table, form: str) -> None:
    done = standardise("t", unicode=form, whitespace=False)(table("t string", *[(text,) for text in NASTY]))
    assert [row.t for row in done.collect()] == [unicodedata.normalize(form, text) for text in NASTY]


def test_each_named_column_is_standardised_and_no_other(table: Table) -> None:
    rows = table("a string, b string, c string", ("X", "Y", "Z"))
    assert standardise(["a", "C"], case="lower")(rows).collect() == [("x", "Y", "z")]


def test_what_is_no_text_is_not_standardised(table: Table) -> None:
    assert refusal(standardise("n"), table("n int")) == "standardise: column 'n' is int: it takes text"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"case": "camel"}, "case='camel' is none of 'lower', 'upper', 'title'"),
        ({"unicode": "NFD"}, "unicode='NFD' is none of 'NFC', 'NFKC'"),
        ({"whitespace": "yes"}, "whitespace='yes' is none of False, True"),
        ({"whitespace": False}, "nothing is asked for"),
    ],
)
def test_a_standard_that_is_none_is_refused_at_once(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError, match=f"^standardise: {message}"):
        standardise("t", **arguments)
