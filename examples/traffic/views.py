"""Incidents per day, by what was reported and how it stands."""

import dovetail as dv

from transforms import convert_dates, with_minutes_open, with_reported_at

incident_reports = dv.source(
    "incident_reports",
    topic="traffic.incident-reports.v1",
    format=dv.json(),
    schema="traffic_report_id string, published_date string, issue_reported string, address string, status string, "
    "status_date_time string",
    event_time="reported_at",
    owner="traffic-desk",
)

incidents = dv.view(
    "incidents",
    source=incident_reports,
    transform=[convert_dates, with_reported_at, with_minutes_open],
    keys=["issue_reported", "status"],
    bucket="1d",
    measures={
        "reports": dv.count(),
        "undated": dv.count(where="published_date IS NULL"),
        "longest": dv.max("minutes_open"),
        "average_minutes": dv.avg("minutes_open"),
    },
)
