"""Views for a million records and more: a thousand ids in a row make a block, whose count and sum tell of each."""

from events import events
from pyspark.sql import DataFrame

import dovetail as dv


def with_block(events: DataFrame) -> DataFrame:
    """`block`: which thousand the id lies in."""
    return events.selectExpr("*", "id div 1000 as block")


blocks = dv.view(
    "blocks",
    source=events,
    transform=with_block,
    keys=["block"],
    measures={"records": dv.count(), "ids": dv.sum("id")},
)

days = dv.view("days", source=events, bucket="1d", measures={"records": dv.count(), "ids": dv.sum("id")})
