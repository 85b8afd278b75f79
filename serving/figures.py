"""The figures of all workers as one: each leaves its own in a file, and whoever is asked puts them together."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from prometheus_client import CollectorRegistry, Metric, generate_latest

EVERY = 1.0
"""Seconds between two times that a worker leaves its figures."""
GONE = "gone"
"""Whose figures are those of all workers that have ended."""
OF_THE_LEDGER = ("dovetail_source_", "dovetail_rule_", "dovetail_view_commits")
"""Counters of what lies in the storage, which every worker counts for itself: the furthest is right, not the sum."""
OTHERWISE: Mapping[str, Callable[[Iterable[float]], float]] = {
    "dovetail_live_streams": sum, "dovetail_proof_holds": min,
    "dovetail_view_answerable": min, "dovetail_view_seq": min,
}  # fmt: skip
"""Gauges of which the largest does not say how the server stands."""

Family = tuple[str, str, str]
"""Name, type and meaning."""
Sample = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels."""
Figure = tuple[Family, Sample, float]


@dataclass(frozen=True)
class Figures:
    """Those of the worker in one place, and what the others have left in `folder`."""

    folder: Path
    place: int

    def leave(self, registry: CollectorRegistry) -> None:
        """Leaves what is counted here up to now."""
        _write(self.folder, str(self.place), _counted(registry))

    def of_all(self, registry: CollectorRegistry) -> bytes:
        """What all have counted, as Prometheus reads it. What is told here is left too, so that it never goes back."""
        self.leave(registry)
        with _locked(self.folder, fcntl.LOCK_SH):
            return generate_latest(_Merged(_merged(_all(self.folder))))


def set_aside(folder: Path, place: int) -> None:
    """Of a worker that has ended keeps what it has counted; how it stood says nothing any more."""
    with _locked(folder, fcntl.LOCK_EX):
        ended = [*_read(folder / f"{place}.json"), *_read(folder / f"{GONE}.json")]
        counted = [figure for figure in ended if figure[0][1] != "gauge"]
        _write(folder, GONE, [(*named, value) for named, value in _merged(counted).items()])
        (folder / f"{place}.json").unlink(missing_ok=True)


class _Merged:
    """As a registry, to be written as text."""

    def __init__(self, figures: Mapping[tuple[Family, Sample], float]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        families: dict[Family, Metric] = {}
        for (family, (name, labels)), value in self._figures.items():
            name_, type_, meaning = family
            families.setdefault(family, Metric(name_, meaning, type_)).add_sample(name, dict(labels), value)
        return families.values()


def _merged(figures: Iterable[Figure]) -> dict[tuple[Family, Sample], float]:
    found: dict[tuple[Family, Sample], list[float]] = {}
    for family, sample, value in figures:
        found.setdefault((family, sample), []).append(value)
    return {named: _one(*named, values) for named, values in found.items()}


def _one(family: Family, sample: Sample, values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    name, type_, _ = family
    if sample[0].endswith("_created"):
        return min(known)
    counted = type_ != "gauge" and not name.startswith(OF_THE_LEDGER)
    return float(OTHERWISE.get(name, sum if counted else max)(known))


def _counted(registry: CollectorRegistry) -> list[Figure]:
    return [
        ((family.name, family.type, family.documentation), (s.name, tuple(sorted(s.labels.items()))), s.value)
        for family in registry.collect()
        for s in family.samples
    ]


def _all(folder: Path) -> Iterator[Figure]:
    for file in sorted(folder.glob("*.json")):
        yield from _read(file)


def _read(file: Path) -> Iterator[Figure]:
    if file.exists():
        for family, (name, labels), value in orjson.loads(file.read_bytes()):
            labelled = tuple((label, of) for label, of in labels)
            yield (*family,), (name, labelled), math.nan if value is None else value


def _write(folder: Path, name: str, figures: list[Figure]) -> None:
    half = folder / f".{name}-{os.getpid()}"
    half.write_bytes(orjson.dumps(figures))  # NaN is null there
    half.rename(folder / f"{name}.json")


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """So that nobody reads what a worker has counted twice, or not at all, while it is being set aside."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
