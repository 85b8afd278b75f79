"""Views that name each record: a wrong merge shows which one it lost or doubled."""

from events import events

import dovetail as dv

HEAVY = 50

ids = dv.view("ids", source=events, keys=["id"], measures={"times": dv.count()})

lanes = dv.view(
    "lanes", source=events, keys=["lane"], bucket="1d", measures={"records": dv.count(), "amount": dv.sum("amount")}
)

totals = dv.view(
    "totals",
    source=events,
    bucket="1d",
    measures={"records": dv.count(), "heavy": dv.count(where=f"amount > {HEAVY}")},
)
