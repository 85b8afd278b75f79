"""Corrected bytes: by column, in an editor, from a file; what is not touched stays as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from quarantine_stand import BEGAN, Bad, Stand

import dovetail as dv
from dovetail.shared.corrections import Correction, edited, from_file, refuse_unfit, settings, with_columns
from dovetail.shared.errors import UsageError
from dovetail.shared.position import RecordId
from dovetail.shared.quarantine import Held, Quarantine, line
from dovetail.shared.tables import Layout

SOURCE = dv.source("lines", schema="country string, price decimal(38,20)")


def held(value: bytes | None) -> Held:
    return Held(RecordId(0, 3), "no at", BEGAN, b"k", value, 1, BEGAN, "", None)


def test_a_column_is_set_and_every_other_byte_of_meaning_stays() -> None:
    value = (
        b'{"price":12.10,"n":-0,"m":-0,"big":123456789012345678901234567890.5e-3,"t":"1.0 \xc3\xa9","x":[{"y":null}]}'
    )
    changed = with_columns(held(value), {"country": '"FR"', "n": "7.50"}).value
    assert changed == (
        b'{"price": 12.10, "n": 7.50, "m": -0, "big": 123456789012345678901234567890.5e-3, "t": "1.0 \xc3\xa9", '
        b'"x": [{"y": null}], "country": "FR"}'
    )


def test_an_object_is_set_as_it_is_written() -> None:
    assert with_columns(held(b"{}"), {"country": '{"a": [1.0, "b"]}'}).value == b'{"country": {"a": [1.0, "b"]}}'


@pytest.mark.parametrize("value", [b"broken", b"[1]", b"\xff", None])
def test_a_column_of_what_is_no_object_cannot_be_set(value: bytes | None) -> None:
    with pytest.raises(UsageError, match="0@3 is not a JSON object"):
        with_columns(held(value), {"country": '"FR"'})


@pytest.mark.parametrize(
    ("given", "what"),
    [("country", "is not COLUMN=JSON"), ("country=FR", "is not COLUMN=JSON"), ("countri=1", "country")],
)
def test_a_setting_names_a_column_and_json(given: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        settings([given], SOURCE)
    assert settings(['country="F=R"', "price= 1.10"], SOURCE) == {"country": '"F=R"', "price": "1.10"}


def editor(folder: Path, code: str) -> str:
    script = folder / "an editor.py"
    script.write_text(f"import sys, pathlib; f = pathlib.Path(sys.argv[-1]); {code}")
    return f"'{sys.executable}' '{script}'"


def test_an_editor_gets_the_record_and_its_last_line_end_is_not_sent(tmp_path: Path) -> None:
    command = editor(tmp_path, "f.write_bytes(f.read_bytes().replace(b'bro', b'sp') + b'\\n')")
    assert edited(held(b"bro\nken"), command).value == b"sp\nken"


def test_an_editor_that_fails_sends_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ended with 4: nothing was sent"):
        edited(held(b"x"), editor(tmp_path, "sys.exit(4)"))
    with pytest.raises(UsageError, match="cannot be run"):
        edited(held(b"x"), "no-such-editor-at-all")
    with pytest.raises(UsageError, match="is not text"):
        edited(held(b"\xff"), "true")


@pytest.fixture
def quarantine(tmp_path: Path) -> Quarantine:
    stand = Stand(Layout(tmp_path), "lines")
    stand.commit(Bad(0, 0, value=b'{"a":1}'), Bad(0, 1, value=b"\xff"), Bad(1, 0, value=None))
    return Quarantine(stand.layout, "lines")


def exported(quarantine: Quarantine) -> list[bytes]:
    return [line(each).encode() for each in quarantine.waiting()]


def test_a_file_as_it_was_exported_corrects_nothing(quarantine: Quarantine) -> None:
    assert from_file([*exported(quarantine), b"\n"], quarantine) == []


def test_a_changed_value_is_a_correction(quarantine: Quarantine) -> None:
    first, second, third = exported(quarantine)
    lines = [
        first.replace(rb"{\"a\":1}", rb"{\"a\":2}"),
        second.replace(b"/w==", b"e30="),
        third.replace(b'"value_base64": null', b'"value": "{}"'),
    ]
    assert [(str(c.held.place), c.value) for c in from_file(lines, quarantine)] == [
        ("0@0", b'{"a":2}'),
        ("0@1", b"{}"),
        ("1@0", b"{}"),
    ]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([b"{"], "line 1: not JSON"),
        ([b"", b"{}"], "line 2: no position of a record"),
        ([b'{"position": "3"}'], "line 1: '3' is not a record"),
        ([b'{"position": "0@0", "value": {"a": 2}}'], "line 1: value is not text"),
        ([b'{"position": "0@0", "value_base64": "?"}'], "line 1: value_base64 is not base64"),
        ([b'{"position": "0@0"}'] * 2, "line 2: 0@0 comes a second time"),
        ([b'{"position": "0@9", "value": "{}"}'], "0@9 of lines is not in quarantine"),
        ([b'{"position": "0@0", "value": "{}", "value_base64": "Iio="}'], "0@0: value and value_base64 were both"),
    ],
)
def test_a_file_that_is_none_of_export_is_refused(quarantine: Quarantine, lines: list[bytes], what: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_file(lines, quarantine)
    assert caught.value.what.startswith(what)


@pytest.mark.parametrize(
    ("value", "what"), [(b"broken", "is as it was"), (b"other", "not a JSON object"), (b"[]", "not")]
)
def test_what_would_come_back_to_quarantine_is_refused(value: bytes, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        refuse_unfit(Correction(held(b"broken"), value), SOURCE)
    refuse_unfit(Correction(held(b"broken"), b"{}"), SOURCE)


def test_of_another_format_only_its_reader_can_tell_what_comes_back_and_no_column_is_set() -> None:
    lines = dv.source("lines", format=dv.csv(), schema="country string, price int")
    refuse_unfit(Correction(held(b"broken"), b"FR,1"), lines)
    with pytest.raises(UsageError, match="--set writes JSON, and records of this source are csv"):
        settings(['country="FR"'], lines)
