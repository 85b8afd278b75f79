"""Where every courier is, and how long customers wait in each zone, declared once for batch and for speed."""

import dovetail as dv

from transforms import with_eta

positions = dv.source(
    "positions",
    topic="delivery.positions.v1",
    format=dv.json(),
    schema="""
        courier string, at timestamp, lat decimal(9,6), lon decimal(9,6), speed int,
        order_number bigint, zone string, metres_left int
    """,
    event_time="at",
    event_id=["courier", "at"],  # a phone sends again what it is not sure of: a repeat counts once
    rules=[dv.rule("lat BETWEEN -90 AND 90 AND lon BETWEEN -180 AND 180", otherwise="quarantine")],
    owner="dispatch",
)

# The gateway of the phones writes a file every few seconds, under a name that begins with a dot, and renames it.
trackers = dv.feed.files("trackers", source=positions, folder="inbox", key="courier", quiet="0s", every="1s")

zones = dv.dimension("zones", key="zone", path="dims/zones.csv")

couriers = dv.view(
    "couriers",
    source=positions,
    keys=["courier"],
    measures={
        "lat": dv.last("lat"),
        "lon": dv.last("lon"),
        "seen": dv.max("at"),
        "positions": dv.count(),
    },
)

eta = dv.view(
    "eta",
    source=positions,
    transform=[with_eta],
    keys=["zone"],
    bucket="5m",
    measures={
        "average": dv.avg("eta_seconds"),
        "longest": dv.max("eta_seconds"),
        "couriers": dv.approx_distinct("courier"),
        "positions": dv.count(where="order_number IS NOT NULL"),
    },
    dimensions=[zones],
)
