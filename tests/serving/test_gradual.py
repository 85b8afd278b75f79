"""What is written at once is handed on in pieces, whole and in order, and others have their turn in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dovetail.serving.connections import PIECE, Gradual

LARGE = bytes(range(256)) * (PIECE // 64)


class Double:
    """A transport and its connection: takes `room` bytes until it is read, and runs what is due when told to."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.taken, self.room = list[bytes](), room
        self.due = list[Callable[[], None]]()
        self.held = self.closed = self.aborted = False
        self.loop: Any = self
        self.gradual = Gradual(self, self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self.taken.append(bytes(data))
        self.gradual.full = sum(map(len, self.taken)) >= self.room

    def read(self) -> None:
        """The other side has read all: there is room again."""
        self.room, self.gradual.full = 1 << 30, False
        self.gradual.go_on()

    def call_soon(self, what: Callable[[], None]) -> None:
        self.due.append(what)

    def turn(self) -> bool:
        """One turn of the loop; whether anything was due."""
        due, self.due = self.due, []
        for what in due:
            what()
        return bool(due)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False


def test_a_large_answer_goes_piece_by_piece_with_a_turn_between_and_in_order() -> None:
    double = Double()
    double.gradual.write(b"head")
    double.gradual.write(LARGE)
    double.gradual.write(b"tail")
    assert double.held
    assert sum(map(len, double.taken)) == len(b"head") + PIECE
    assert double.gradual.get_write_buffer_size() == len(LARGE) - PIECE + len(b"tail")
    while double.turn():
        pass
    assert b"".join(double.taken) == b"head" + LARGE + b"tail"
    assert max(map(len, double.taken)) == PIECE
    assert (double.held, double.gradual.get_write_buffer_size()) == (False, 0)


def test_it_waits_while_the_system_takes_no_more() -> None:
    double = Double(room=2 * PIECE)
    double.gradual.write(LARGE)
    while double.turn():
        pass
    assert (sum(map(len, double.taken)), double.held) == (2 * PIECE, True)
    double.read()
    while double.turn():
        pass
    assert (b"".join(double.taken), double.held) == (LARGE, False)


def test_it_closes_once_all_is_handed_on() -> None:
    double = Double()
    double.gradual.write(LARGE)
    double.gradual.close()
    assert (double.gradual.is_closing(), double.closed) == (True, False)
    while double.turn():
        pass
    assert (b"".join(double.taken), double.closed) == (LARGE, True)


def test_what_is_ended_hands_on_no_more() -> None:
    double = Double()
    double.gradual.write(LARGE)
    double.gradual.abort()
    while double.turn():
        pass
    assert (sum(map(len, double.taken)), double.aborted, double.gradual.get_write_buffer_size()) == (PIECE, True, 0)
