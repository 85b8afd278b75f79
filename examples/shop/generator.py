"""An endless, seeded feed of order lines, as untidy as a real one.

    from itertools import islice
    for key, value in islice(generate(seed=7), 1000): ...

A record is a fact of the star schema: one line of an order, with a product of `dims/dim_products.csv` and the postal
code of a customer in `dims/dim_locations.csv`. Now and then either is in neither file: a product that is too new, a
customer who gave no address. Some records are trouble on purpose, each kind at a rate you choose:

    late          ordered 1 to 60 days before it is sent: a device that was offline
    future        dated 1 to 30 days ahead: a clock that is wrong
    out_of_order  ordered up to 5 minutes before its neighbours
    broken        no order line at all: cut short, a wrong type, an array, a bare string, empty, bad UTF-8
    repeated      the same bytes once more, as after a producer's retry

The first three befall whole orders, for the lines of an order share one date; the other two befall single records.
"""

import csv
import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["good", "late", "future", "out_of_order", "broken", "repeated"]

DIMS = Path(__file__).parent / "dims"
STATUSES = {"Shipped": 72, "In Process": 18, "Cancelled": 4, "On Hold": 3, "Disputed": 2, "Resolved": 1}
HAS_LEFT = {"Shipped", "Disputed", "Resolved"}
UNTIDY = 0.02  # of all orders come from the old till, which shouts and pads its statuses, and leaves out the amount
UNLISTED = 0.01  # of all lines sell a product that is not in dim_products.csv yet
COMMENTS = {None: 90, "": 5, "Gift: leave out the invoice, please": 3, "Call before delivery": 2}
CUSTOMERS_PER_PLACE = 3

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Trouble:
    """Shares between 0 and 1: the first three of all orders, the last two of all records."""

    late: float = 0.05
    future: float = 0.002
    out_of_order: float = 0.05
    broken: float = 0.001
    repeated: float = 0.01


class Record(NamedTuple):
    """One Kafka message and, for tests, what is the matter with it."""

    key: bytes
    value: bytes
    kind: Kind


class Order(NamedTuple):
    """What the lines of one order have in common: the Kafka key, their fields, their kind, and where they come from."""

    key: bytes
    fields: dict[str, Any]
    kind: Kind
    old_till: bool


def generate(
    *,
    seed: int = 7,
    start: datetime | None = None,
    rate: float = 100.0,
    late: float = Trouble.late,
    future: float = Trouble.future,
    out_of_order: float = Trouble.out_of_order,
    broken: float = Trouble.broken,
    repeated: float = Trouble.repeated,
) -> Iterator[tuple[bytes | None, bytes]]:
    """Kafka keys and values without end; the key is the order number, so the lines of an order stay in order.

    Args:
        seed: the same seed gives the same orders; with the same `start` too, the same bytes.
        start: when the first order is placed, in UTC unless it says otherwise; one that begins with record n is then
            dated `start + n / rate` seconds. None dates each by the clock as it is asked for, however fast that is.
        rate: order lines per second of event time; without `start` it has no effect.
        late, future, out_of_order, broken, repeated: the trouble, as the top of this file explains it.
    """
    trouble = Trouble(late, future, out_of_order, broken, repeated)
    for record in records(seed=seed, start=start, rate=rate, trouble=trouble):
        yield record.key, record.value


def records(
    *, seed: int = 7, start: datetime | None = None, rate: float = 100.0, trouble: Trouble | None = None
) -> Iterator[Record]:
    """The feed of `generate`, with the kind of each record."""
    trouble = trouble or Trouble()
    chance = random.Random(seed)
    recent: deque[Record] = deque(maxlen=64)
    sent = 0

    def clock() -> datetime:
        return datetime.now(UTC) if start is None else _utc(start) + timedelta(seconds=sent / rate)

    products = price_list()
    for order in orders(chance, clock, trouble):
        for value in lines(chance, order, products):
            while recent and chance.random() < trouble.repeated:
                yield chance.choice(recent)._replace(kind="repeated")
                sent += 1
            if chance.random() < trouble.broken:
                yield Record(order.key, spoilt(chance, value), "broken")
            else:
                recent.append(Record(order.key, value, order.kind))
                yield recent[-1]
            sent += 1


def orders(chance: random.Random, clock: Callable[[], datetime], trouble: Trouble) -> Iterator[Order]:
    """Orders placed at `clock()`, less or more their trouble.

    They are numbered on from the first one's time in milliseconds: a later feed repeats no number as long as this one
    makes fewer than 1,000 orders a second.
    """
    places = [place["postalCode"] for place in read_dimension("dim_locations")] + [""]
    first = (clock() - datetime(2020, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    for number in count(first):
        kind, shift = _kind_and_shift(chance, trouble)
        placed = clock() + shift
        status, old_till = _drawn(chance, STATUSES), chance.random() < UNTIDY
        customer = int(CUSTOMERS_PER_PLACE * len(places) * chance.random() ** 2)  # squared: the first order most
        # What was sent late has had time to leave; what is sent at once can have left only today.
        waited = min(timedelta(days=chance.randrange(13)), max(-shift, timedelta(0)))
        fields = {
            "orderNumber": number,
            "customerNumber": 100 + customer,
            "postalCode": places[customer % len(places)],
            "orderDate": placed.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requiredDate": (placed + timedelta(days=chance.randint(5, 10))).date().isoformat(),
            "shippedDate": (placed + waited).date().isoformat() if status in HAS_LEFT else None,
            "status": f" {status.upper()} " if old_till else status,
            "comments": _drawn(chance, COMMENTS),
        }
        yield Order(str(number).encode(), fields, kind, old_till)


def lines(chance: random.Random, order: Order, products: list[dict[str, Any]]) -> Iterator[bytes]:
    """The 1 to 8 lines of an order as JSON, each with another product, up to a fifth below its list price."""
    head = encode(order.fields)[:-1]  # without its closing brace: encoded once an order, not once a line
    for number, product in enumerate(chance.sample(products, chance.randint(1, 8)), start=1):
        quantity = int(15 * chance.paretovariate(2.5))  # 20 or so, and of few things hundreds
        price = round(product["MSRP"] * (1 - chance.random() / 5), 2)
        line = {"orderLineNumber": number, "quantityOrdered": quantity, "priceEach": price, **product}
        if chance.random() < UNLISTED:
            line["productCode"] = "S18_9999"
        if not order.old_till:
            line["orderAmount"] = round(quantity * price, 2)
        yield f"{head},{encode(line)[1:]}".encode()


def price_list() -> list[dict[str, Any]]:
    """Each product's code with what it is bought for and its list price, which follow from the code."""
    prices = []
    for code in (product["productCode"] for product in read_dimension("dim_products")):
        chance = random.Random(code)
        msrp = round(chance.uniform(20, 220), 2)
        prices.append({"productCode": code, "buyPrice": round(msrp * chance.uniform(0.4, 0.9), 2), "MSRP": msrp})
    return prices


def spoilt(chance: random.Random, value: bytes) -> bytes:
    """What is left of a good record after one of six mishaps."""
    mishaps = (
        value[: len(value) // 2],
        value.replace(b'"quantityOrdered":', b'"quantityOrdered":"many","was":'),
        b"[" + value + b"]",
        b'"' + str(len(value)).encode() + b' bytes"',
        b"",
        value.replace(b'"status":"', b'"status":"\xff\xfe'),
    )
    return chance.choice(mishaps)


def read_dimension(name: str) -> list[dict[str, str]]:
    """The rows of `dims/NAME.csv`."""
    with (DIMS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _kind_and_shift(chance: random.Random, trouble: Trouble) -> tuple[Kind, timedelta]:
    """One draw decides what is the matter with an order and how far its date moves."""
    draw, size = chance.random(), chance.random()
    if draw < trouble.late:
        return "late", -timedelta(days=1 + 59 * size)
    draw -= trouble.late
    if draw < trouble.future:
        return "future", timedelta(days=1 + 29 * size)
    draw -= trouble.future
    if draw < trouble.out_of_order:
        return "out_of_order", -timedelta(minutes=5 * size)
    return "good", timedelta(0)


def _drawn(chance: random.Random, weights: dict[Any, int]) -> Any:
    return chance.choices(list(weights), list(weights.values()))[0]


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
