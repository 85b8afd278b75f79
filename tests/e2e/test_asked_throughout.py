"""Twenty questions a second while everything runs, and dies, beside the server: each answer is true. For test-long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from asking import RATE, Truth, asking
from depot_scans import Record, records
from depot_truth import DEPOT, totals_of_heavier
from e2e_oracle import Oracle
from e2e_system import System, beside

from dovetail.shared.log import Log
from dovetail.shared.position import Position

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1800)]

BURSTS = 300


@pytest.mark.parametrize("workers", [1, 2])
def test_every_answer_is_the_truth_of_its_position_whatever_runs_beside_it(
    workers: int, log: Log, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__SERVING__WORKERS", str(workers))
    sent: list[Record] = []
    topic = f"depot.scans.asked-{workers}"
    with System.create(DEPOT, tmp_path / "depot", log, topic=topic, partitions=3) as depot:
        depot.topic.send(records(60, seed=10_000, sent=sent))
        depot.start("archive", wait=False)
        depot.start("speed")
        depot.serve()
        depot.exact()
        url = depot.project.settings.serving.url + "/v1/"
        with asking(url, lambda: [r.scan for r in [*sent] if r.scan]) as asked, sending(depot, sent):
            depot.wait_claimed()
            depot.batch(spark)
            depot.change("totals", Oracle((), "1d", totals_of_heavier), ('where="weight > 10"', 'where="weight > 20"'))
            depot.wait_claimed()
            depot.batch(spark, "totals", full=True)  # promotes the changed version
            depot.start("batch", "flow", failpoint="batch.before_promote:crash", wait=False)
            depot.died("batch")
            for _ in range(4):  # runs beyond the last that may be rolled back to are pruned
                depot.batch(spark, "seen", "flow", full=True)
        depot.exact()  # and so was every answer of all groups that the watcher got

        @lru_cache(maxsize=8)
        def true_at(parts: tuple[tuple[str, int], ...]) -> Truth:
            return Truth(depot.topic.below(Position.from_json(dict(parts))))

        asked.answers.sort(key=lambda answered: answered[1]["receipt"]["seq"])
        wrong = asked.differences(lambda position: true_at(tuple(sorted(position.items()))))
        print(f"{len(asked.answers)} answers, the asker {asked.late:.1f} s late at most")
        assert wrong == [], "\n".join([f"{len(wrong)} of {len(asked.answers)}", *wrong[:12]])
        assert len(asked.answers) > 40 * RATE
        assert (
            len({"+".join(answer["receipt"]["runs"]) for _, answer in asked.answers if "runs" in answer["receipt"]}) > 5
        )


@contextmanager
def sending(depot: System, sent: list[Record]) -> Iterator[None]:
    """Sends bursts while the block runs: a hundred records a second, so that one answer still holds every group.

    Only so many: where everything is slow, more of them would make it slower yet.
    """

    def send(stop: threading.Event) -> None:
        for seed in range(10_001, 10_001 + BURSTS):
            if stop.wait(0.5):
                return
            depot.topic.send(records(50, seed=seed, sent=sent))

    with beside(send):
        yield
