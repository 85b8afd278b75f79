"""The parts of a question: timed for Prometheus and, where traces are on, spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

from opentelemetry.trace import StatusCode, Tracer
from prometheus_client import Histogram

from dovetail.serving.metrics import Part

Named = Part | Literal["plan"]
_NOTHING = nullcontext()


class Parts:
    """`with parts("lookup", view, seq): …`, for the view and the seq that the part is about."""

    def __init__(self, timers: Mapping[Part, Histogram], tracer: Tracer | None) -> None:
        self._timers, self._tracer = timers, tracer

    def __call__(self, part: Named, view: str = "", seq: int | None = None) -> AbstractContextManager[Any]:
        timed: AbstractContextManager[Any] = _NOTHING if part == "plan" else self._timers[part].time()
        return timed if self._tracer is None else _spanned(self._tracer, part, view, seq, timed)


@contextmanager
def _spanned(
    tracer: Tracer, part: str, view: str, seq: int | None, timed: AbstractContextManager[Any]
) -> Iterator[None]:
    attributes: dict[str, str | int] = {"dovetail.view": view} if view else {}
    attributes |= {} if seq is None else {"dovetail.seq": seq}
    # No exception is recorded: its text may hold what was asked.
    with (
        tracer.start_as_current_span(
            part, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span,
        timed,
    ):
        try:
            yield
        except Exception:
            span.set_status(StatusCode.ERROR)
            raise
