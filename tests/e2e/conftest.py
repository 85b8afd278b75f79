"""One broker for all end-to-end tests; makes their modules importable, which pytest's importlib mode does not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail.shared.broker import Broker
from dovetail.shared.log import Log

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """A real broker's log."""
    from e2e_system import free_port

    with Broker.start(tmp_path_factory.mktemp("kafka"), port=free_port()) as broker:
        yield Log(broker.bootstrap, {})
