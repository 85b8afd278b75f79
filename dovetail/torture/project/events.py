"""What is sent; `note` is declared at times."""

import dovetail as dv

MORE = False

events = dv.source(
    "events",
    schema="id bigint, lane string, at timestamp, amount bigint" + (", note string" if MORE else ""),
    event_time="at",
    event_id="id",
)
