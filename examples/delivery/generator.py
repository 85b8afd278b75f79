"""Couriers on their way: a seeded feed of positions, written to files as a gateway of phones would.

Some positions come late, from phones that had no reception; some twice; some are broken. All are invented.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

ZONES = ["N1", "N2", "S1", "S2", "W9"]  # W9 is so new that no dimension lists it
START = datetime(2026, 3, 2, 11, tzinfo=UTC)


def lines(*, seed: int, couriers: int = 20, start: datetime = START) -> Iterator[bytes]:
    """JSON lines without end: every courier once in ten seconds."""
    chance, now, held = random.Random(seed), start, list[bytes]()
    tours = [Tour(f"c{n:03}", chance) for n in range(couriers)]
    while True:
        for tour in tours:
            line = json.dumps(tour.position(now)).encode()
            dice = chance.random()
            if dice < 0.03:  # no reception: it comes with what comes later
                held.append(line)
            elif dice < 0.04:
                yield line[: len(line) // 2]
            else:
                yield line
                if dice > 0.98:
                    yield line
                if held and chance.random() < 0.2:
                    yield held.pop(0)
        now += timedelta(seconds=10)


class Tour:
    """One courier: an order to bring, then the next, with a wait between."""

    def __init__(self, courier: str, chance: random.Random) -> None:
        self.courier, self._chance = courier, chance
        self._order, self._left, self._zone = 0, 0, ""

    def position(self, at: datetime) -> dict[str, object]:
        """The next one, ten seconds after the last."""
        chance = self._chance
        speed = chance.choice([0, 120, 240, 300, 360])
        if self._left <= 0:
            going = chance.random() < 0.3
            self._order = chance.randrange(10_000, 99_999) if going else 0
            self._left = chance.randrange(400, 4_000) if going else 0
            self._zone = chance.choice(ZONES)
        self._left -= speed // 6
        return {
            "courier": self.courier,
            "at": at.isoformat().replace("+00:00", "Z"),
            "lat": round(48.80 + chance.random() / 10, 6),
            "lon": round(2.25 + chance.random() / 10, 6),
            "speed": speed,
            "order_number": self._order or None,
            "zone": self._zone or None,
            "metres_left": max(self._left, 0) if self._order else None,
        }


def write(folder: Path, name: str, of: list[bytes]) -> None:
    """A file that is there at once, with all it holds."""
    half = folder / f".{name}"
    half.write_bytes(b"".join(line + b"\n" for line in of))
    half.rename(folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes a file of positions every so many seconds.")
    parser.add_argument("folder", nargs="?", default="inbox", type=Path)
    parser.add_argument("--every", type=float, default=2, help="seconds between two files")
    parser.add_argument("--lines", type=int, default=40, help="positions of a file")
    parser.add_argument("--files", type=int, default=0, help="end after as many; 0 for none")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    began = datetime.now(UTC).replace(microsecond=0)
    feed, n = lines(seed=given.seed, start=began), 0
    while not given.files or n < given.files:
        n += 1
        write(given.folder, f"{began:%Y%m%dT%H%M%S}-{n:06}.jsonl", list(islice(feed, given.lines)))
        time.sleep(given.every)


if __name__ == "__main__":
    main()
