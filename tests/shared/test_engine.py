"""The engine's seam: which errors say that its JVM has ended."""

from __future__ import annotations

from typing import Any

import pytest
from py4j import protocol
from pyspark.errors import PySparkRuntimeError

from dovetail.shared.engine import is_gone


def raised(answer: str, *, client: Any = None) -> Exception:
    """What py4j raises for an answer from the JVM's side."""
    with pytest.raises(protocol.Py4JError) as error:
        protocol.get_return_value(answer, client, "o189", "isActive")
    return error.value


def test_a_call_that_is_cut_off_says_that_the_jvm_has_ended() -> None:
    assert is_gone(raised(protocol.ERROR))  # what py4j puts in the place of an answer once the connection is lost
    assert is_gone(protocol.Py4JNetworkError("Answer from Java side is empty"))
    assert is_gone(ConnectionRefusedError())
    assert is_gone(PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={}))


def test_what_java_itself_raises_does_not() -> None:
    assert not is_gone(raised(f"{protocol.ERROR}{protocol.STRING_TYPE}java.lang.NoSuchMethodException"))
    assert not is_gone(protocol.Py4JError("o189 is not callable"))
    assert not is_gone(PySparkRuntimeError(errorClass="SESSION_NOT_SAME", messageParameters={}))
    assert not is_gone(ValueError("An error occurred while calling"))
