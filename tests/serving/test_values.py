"""Values as JSON: decimals are written out, never with an exponent."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from dovetail.serving.values import rendered


@pytest.mark.parametrize("scale", [0, 2, 6, 7, 30])
@pytest.mark.parametrize("digits", ["0", "1", "12345678", "9" * 38])
def test_decimals_are_written_out_whatever_their_size(digits: str, scale: int) -> None:
    kind = pa.decimal128(38, scale)
    values = [Decimal((sign, tuple(map(int, digits)), -scale)) for sign in (0, 1)]
    column = pa.chunked_array([pa.array([*values, None], kind)])
    assert rendered(column, kind) == [*(format(abs(v) if digits == "0" else v, "f") for v in values), None]
