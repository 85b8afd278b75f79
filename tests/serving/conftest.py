"""Fixtures over `serving_stand`, made importable here: pytest's importlib mode does not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from access_stand import PEPPER, Place, place, some
from serving_stand import Client, Ends, Stand, serve


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "data")


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def serving(tmp_path: Path, stand: Stand, ends: Ends) -> Iterator[Client]:
    """A running app over `stand`, from its first look on."""
    with serve(tmp_path, stand, ends) as client:
        yield client


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server that needs keys, over two views."""
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some()) as found:
        yield found
