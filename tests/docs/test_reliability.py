"""Each test that the pages of faults, of access and of workers name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")
ACCESS = (ROOT / "docs" / "security.md").read_text("utf-8")
WORKERS = (ROOT / "docs" / "workers.md").read_text("utf-8")


def test_every_fault_from_1_to_30_is_in_it() -> None:
    told = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert {int(n) for n in told} == {*range(1, 31), 32}


def test_every_requirement_from_1_to_19_is_in_it() -> None:
    told = re.findall(r"^\| (\d+) \|.*\| (held|not shown)[^|]*\|$", ACCESS, re.MULTILINE)
    assert {int(n) for n, _ in told} == {*range(1, 20), 24}


@pytest.mark.parametrize(
    ("page", "least"), [(PAGE, 40), (ACCESS, 40), (WORKERS, 6)], ids=["reliability", "security", "workers"]
)
def test_every_test_it_names_is_there(page: str, least: int) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > least
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and f"def {name}(" not in (ROOT / file).read_text("utf-8"))
    ]
    assert missing == []
