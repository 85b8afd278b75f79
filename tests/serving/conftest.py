"""Fixtures over `serving_stand`, made importable here: pytest's importlib mode does not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

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
