"""What the shop wants to know, declared once for batch and for speed."""

import dovetail as dv

from transforms import with_amount, with_profit, with_shipped_late, with_standard_status, with_tidy_text

order_lines = dv.source(
    "order_lines",
    topic="shop.order-lines.v1",
    format=dv.json(),
    schema="""
        order_number bigint, order_line_number int, ordered_at timestamp, required_date date, shipped_date date,
        status string, customer string, postal_code string, city string, country string,
        product_code string, product_line string, quantity int, price decimal(10,2), buy_price decimal(10,2)
    """,
    event_time="ordered_at",
    owner="sales-data",
)

sales = dv.view(
    "sales",
    source=order_lines,
    transform=[with_tidy_text, with_standard_status, with_amount, with_profit],
    keys=["postal_code", "product_code"],
    bucket="1h",
    measures={
        "lines": dv.count(),
        "cancelled": dv.count(where="status = 'Cancelled'"),
        "revenue": dv.sum("amount"),
        "profit": dv.sum("profit"),
        "biggest": dv.max("quantity"),
        "average_price": dv.avg("price"),
    },
)

arrivals = dv.view(
    "arrivals",
    source=order_lines,
    transform=[with_tidy_text, with_standard_status, with_shipped_late],
    keys=["country", "status"],
    bucket="1d",
    measures={
        "lines": dv.count(),
        "pieces": dv.sum("quantity"),
        "shipped_late": dv.count(where="shipped_late"),
        "cheapest": dv.min("price"),
        "dearest": dv.max("price"),
    },
)
