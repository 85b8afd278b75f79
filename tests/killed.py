"""A block that ends at a failpoint as it would in a process that dies there, as far as what it wrote goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dovetail.shared import failpoints


@contextmanager
def killed_at(name: str) -> Iterator[None]:
    """Runs the block, which must come to the failpoint, and goes on after it."""
    os.environ.update(DOVETAIL_TEST_MODE="1", DOVETAIL_FAILPOINT=f"{name}:raise")
    failpoints._armed.cache_clear()
    failpoints._passed.clear()
    try:
        with pytest.raises(RuntimeError, match=f"failpoint {name}"):
            yield
    finally:
        del os.environ["DOVETAIL_TEST_MODE"], os.environ["DOVETAIL_FAILPOINT"]
        failpoints._armed.cache_clear()
