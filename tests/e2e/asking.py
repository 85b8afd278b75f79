"""Twenty questions a second, of every kind, and what each of them must be answered at its position."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import httpx
from depot_scans import Record, Scan
from depot_truth import first_ones, flow
from e2e_oracle import same

RATE = 20
AT_ONCE = 16
"""Questions under way at a time: so one that takes long holds up no other."""

Rows = Sequence[Mapping[str, Any]]


class Truth:
    """What is true of these records; worked out when it is first asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    @cached_property
    def ids(self) -> frozenset[str]:
        return frozenset(scan.scan_id for scan in first_ones(self._records))

    @cached_property
    def flow(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return flow(self._records)

    @cached_property
    def flow_in_order(self) -> Rows:
        shown = ("scans", "weight", "mean")
        return [
            {
                "depot": depot, "lane": lane, "bucket": bucket.isoformat().replace("+00:00", "Z"),
                **{name: self.flow[depot, lane, bucket][name] for name in shown},
            }
            for depot, lane, bucket in sorted(self.flow, key=lambda group: [(part is None, part) for part in group])
        ]  # fmt: skip

    def times(self, ids: Sequence[str]) -> list[dict[str, int]]:
        return [{"times": int(id_ in self.ids)} for id_ in ids]


@dataclass(frozen=True)
class Question:
    """What is asked, and the rows it must be answered with where that is true."""

    kind: str
    ask: Callable[[httpx.Client], httpx.Response]
    truth: Callable[[Truth], Rows]


Ask = Callable[[random.Random, Sequence[Scan]], Question]


@dataclass
class Asked:
    """What was answered; `problems` are answers that were none."""

    answers: list[tuple[Question, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    late: float = 0.0
    """Seconds by which the asker itself fell behind, at most."""

    def differences(self, true_at: Callable[[Any], Truth]) -> list[str]:
        """What is not the truth at its position."""
        found = [*self.problems]
        for question, answer in self.answers:
            rows, truth = answer["rows"], question.truth(true_at(answer["receipt"]["position"]))
            alike = len(rows) == len(truth) and all(
                row.keys() == true.keys() and all(same(row[n], v) or row[n] == v for n, v in true.items())
                for row, true in zip(rows, truth, strict=False)
            )
            if not alike or not answer["receipt"]["complete"]:
                found.append(f"{question.kind}: {rows}, the truth is {truth}\n  {answer['receipt']}")
        return found


@contextmanager
def asking(url: str, scans: Callable[[], Sequence[Scan]], questions: Sequence[Ask] | None = None) -> Iterator[Asked]:
    """Asks all the while the block runs, about `scans` too; `questions` in their order, QUESTIONS where not given."""
    questions = questions or QUESTIONS
    asked, stop, chance = Asked(), threading.Event(), random.Random(7)

    def one(question: Question) -> None:
        try:
            answer = question.ask(http)
        except httpx.HTTPError as error:
            asked.problems.append(f"{question.kind}: {type(error).__name__}: {error}")
            return
        if answer.status_code == httpx.codes.OK:
            asked.answers.append((question, answer.json()))
        else:
            asked.problems.append(f"{question.kind}: {answer.status_code}: {answer.text}")

    def run() -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for n in count():
                due = began + n / RATE
                asked.late = max(asked.late, time.monotonic() - due)
                if stop.wait(max(due - time.monotonic(), 0)):
                    return
                pool.submit(one, questions[n % len(questions)](chance, scans()))

    with httpx.Client(base_url=url, timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as http:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield asked
        finally:
            stop.set()
            thread.join()


def _keyed(chance: random.Random, scans: Sequence[Scan]) -> Question:
    """One key; one in ten of which there is nothing."""
    id_ = "nobody" if chance.random() < 0.1 else chance.choice(scans).scan_id
    params = {"where.scan_id": id_, "measures": "times"}
    return Question("keyed", lambda http: http.get("views/seen/query", params=params), lambda t: t.times([id_]))


def _grouped(chance: random.Random, scans: Sequence[Scan]) -> Question:
    params = {"by": "depot,lane", "bucket": "1h", "measures": "scans,weight,mean", "limit": 100_000}
    return Question("grouped", lambda http: http.get("views/flow/query", params=params), lambda t: t.flow_in_order)


def _in_sql(chance: random.Random, scans: Sequence[Scan]) -> Question:
    depot = chance.choice((1, 2, -7))
    sql = (
        f"SELECT lane, MEASURE(scans) AS scans FROM flow WHERE depot = {depot} AND lane IS NOT NULL "
        "GROUP BY lane ORDER BY lane"
    )

    def truth(true: Truth) -> Rows:
        lanes: dict[str, int] = {}
        for (of, lane, _), measures in true.flow.items():
            if of == depot and lane is not None:
                lanes[lane] = lanes.get(lane, 0) + measures["scans"]
        return [{"lane": lane, "scans": n} for lane, n in sorted(lanes.items())]

    return Question("SQL", lambda http: http.post("sql", json={"sql": sql}), truth)


def _looked_up(chance: random.Random, scans: Sequence[Scan]) -> Question:
    ids = sorted({"nobody", *(s.scan_id for s in chance.sample(scans, min(20, len(scans))))})
    body = {"keys": [{"scan_id": id_} for id_ in ids], "measures": ["times"]}

    def truth(true: Truth) -> Rows:
        return [{"scan_id": id_, **row} for id_, row in zip(ids, true.times(ids), strict=True)]

    return Question("lookup", lambda http: http.post("views/seen/lookup", json=body), truth)


QUESTIONS: Sequence[Ask] = (_keyed, _grouped, _in_sql, _looked_up)
