"""Parcels scanned in depots: four views on one source."""

from cleaning import per_tag, with_postage, with_tidy_lane

import dovetail as dv

scans = dv.source(
    "scans",
    topic="depot.scans",
    format=dv.json(),
    schema="""
        scan_id string, depot int, lane string, scanned_at timestamp, due date, tags array<string>,
        weight decimal(9,3), heat double, damaged boolean
    """,
    event_time="scanned_at",
    event_id="scan_id",
)

flow = dv.view(
    "flow",
    source=scans,
    transform=[with_tidy_lane, with_postage],
    keys=["depot", "lane"],
    bucket="1h",
    measures={
        "scans": dv.count(),
        "damaged": dv.count(where="damaged"),
        "weight": dv.sum("weight"),
        "postage": dv.sum("postage"),
        "lightest": dv.min("weight"),
        "heaviest": dv.max("weight"),
        "mean": dv.avg("weight"),
        "heat": dv.sum("heat"),
    },
)

promised = dv.view(
    "promised",
    source=scans,
    transform=per_tag,
    keys=["due", "tag"],
    measures={"rows": dv.count(), "weight": dv.sum("weight"), "first": dv.min("scanned_at")},
)

totals = dv.view(
    "totals",
    source=scans,
    bucket="1d",
    measures={"scans": dv.count(), "heavy": dv.count(where="weight > 10"), "weight": dv.sum("weight")},
)

seen = dv.view("seen", source=scans, keys=["scan_id"], measures={"times": dv.count()})
