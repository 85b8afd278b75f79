"""hash_columns and mask."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from chispa import assert_df_equality

import dovetail as dv
from dovetail.shared.closure import normalised
from dovetail.shared.errors import DeclarationError
from dovetail.shared.purity import problems

from .conftest import Table, refusal

pytestmark = [pytest.mark.java, pytest.mark.long]

hash_columns, mask = dv.transforms.hash_columns, dv.transforms.mask

SALT = "it's a \\salt ${env:HOME} é"


def hashed(text: str, salt: str = SALT) -> str:
    return hashlib.sha256((salt + text).encode()).hexdigest()


def test_a_hash_is_sha_256_of_the_salt_and_the_value(table: Table) -> None:
    rows = table("id int, mail string", (1, "ada@example.org"), (2, ""), (3, None), (4, "é 'x' \\"))
    done = [(1, hashed("ada@example.org")), (2, hashed("")), (3, None), (4, hashed("é 'x' \\"))]
    assert_df_equality(hash_columns("mail", salt=SALT)(rows), table("id int, mail string", *done), ignore_nullable=True)


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("7", "7"),
        ("CAST(1.10 AS decimal(5,2))", "1.10"),
        ("true", "true"),
        ("DATE'2026-03-01'", "2026-03-01"),
        ("TIMESTAMP'2026-03-01 08:15:00.5'", "2026-03-01 08:15:00.5"),
    ],
)
def test_other_values_are_hashed_as_their_text(table: Table, sql: str, text: str) -> None:
    rows = table("id int", (1,)).selectExpr(f"{sql} AS v")
    assert hash_columns("v", salt=SALT)(rows).collect() == [(hashed(text),)]


def test_another_salt_gives_another_hash_and_never_the_salt_away(tmp_path: Path) -> None:
    one, other = (hash_columns("v", salt=salt) for salt in ("canary-salt-1", "canary-salt-2"))
    assert normalised(one, tmp_path) != normalised(other, tmp_path)
    assert "canary-salt" not in repr(one) + str(one) + normalised(one, tmp_path)


def test_a_salt_in_a_variable_is_the_salt_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_SALT", SALT)
    named = hash_columns("v", salt="env:SOME_SALT")
    assert named == hash_columns("v", salt=SALT)
    assert normalised(named, tmp_path) == normalised(hash_columns("v", salt=SALT), tmp_path)


def test_a_salt_that_is_not_set_is_told_when_it_is_needed(
    table: Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SOME_SALT", raising=False)
    step = hash_columns("v", salt="env:SOME_SALT")
    message = "the variable SOME_SALT of the salt is not set"
    assert [p.message for p in problems(step, project=tmp_path)] == [message]
    for use in (lambda: normalised(step, tmp_path), lambda: step(table("v string"))):
        with pytest.raises(DeclarationError, match=f"^hash_columns: {message}") as caught:
            use()
        assert caught.value.where.startswith("test_private.py:")


@pytest.mark.parametrize("salt", ["", "short", 12345678, None])
def test_a_salt_that_hides_nothing_is_refused(salt: object) -> None:
    with pytest.raises(DeclarationError, match=r"^hash_columns: "):
        hash_columns("v", salt=salt)


def test_what_has_no_text_of_its_own_is_neither_hashed_nor_masked(table: Table) -> None:
    kinds = "it takes text or number or boolean or date or timestamp"
    rows = table("v array<int>")
    assert refusal(hash_columns("v", salt=SALT), rows) == f"hash_columns: column 'v' is array<int>: {kinds}"
    assert refusal(mask("v"), rows) == f"mask: column 'v' is array<int>: {kinds}"
    assert refusal(mask("w"), rows) == "mask: unknown column 'w'. Known: v"


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        ({}, "5555 4444", "*********"),
        ({"keep": 4}, "5555444433332222", "************2222"),
        ({"keep": 4}, "2222", "****"),
        ({"keep": 4}, "222", "***"),
        ({"keep": 4}, "22222", "*2222"),
        ({"keep": 2, "character": "•"}, "é\U0001f600àb", "••àb"),
        ({"keep": 1, "character": "'"}, "a\\b", "''b"),
        ({"keep": 1}, "", ""),
        ({"keep": 1}, None, None),
        ({}, None, None),
    ],
)
def test_all_but_the_last_characters_are_hidden(
    table: Table, arguments: dict[str, object], given: str | None, expected: str | None
) -> None:
    assert mask("v", **arguments)(table("v string", (given,))).collect() == [(expected,)]


def test_a_masked_number_is_text(table: Table) -> None:
    masked = mask(["n"], keep=2)(table("id int, n bigint", (1, 123456), (2, None)))
    assert_df_equality(masked, table("id int, n string", (1, "****56"), (2, None)), ignore_nullable=True)


@pytest.mark.parametrize(
    "arguments", [{"keep": -1}, {"keep": True}, {"keep": "4"}, {"character": ""}, {"character": "**"}]
)
def test_a_mask_that_cannot_be_is_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match=r"^mask: "):
        mask("v", **arguments)
