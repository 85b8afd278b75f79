"""What is sent."""

import dovetail as dv

events = dv.source(
    "events",
    schema="id bigint, lane string, at timestamp, amount bigint",
    event_time="at",
    event_id="id",
)
