"""What the retailer wants to know, declared once for batch and for speed.

A star schema: the facts come as a stream, the dimensions are two small tables that are joined when a question is asked.
So a corrected product shows in the next answer, and nothing is computed again.
"""

import dovetail as dv

from transforms import CLEANING, MONEY

fact_orders = dv.source(
    "fact_orders",
    topic="shop.fact-orders.v1",
    format=dv.json(),
    schema="""
        orderLineNumber int, orderNumber bigint, customerNumber int, postalCode string, productCode string,
        orderDate timestamp, requiredDate date, shippedDate date, status string, comments string,
        quantityOrdered int, priceEach decimal(10,2), buyPrice decimal(10,2), MSRP decimal(10,2),
        orderAmount decimal(12,2)
    """,
    event_time="orderDate",  # with its time of day: so hours can be asked for, and a late line is seen to be late
    event_id=["orderNumber", "orderLineNumber"],  # tills send again what they are not sure of: a repeat counts once
    owner="sales-data",
)

products = dv.dimension("products", key="productCode", path="dims/dim_products.csv")
locations = dv.dimension("locations", key="postalCode", path="dims/dim_locations.csv")

sales = dv.view(
    "sales",
    source=fact_orders,
    transform=[*CLEANING, *MONEY],
    keys=["postalCode", "productCode"],
    bucket="1h",
    measures={
        "lines": dv.count(),
        "cancelled": dv.count(where="status = 'Cancelled'"),
        "shipped_late": dv.count(where="shippedDate > requiredDate"),
        "orders": dv.approx_distinct("orderNumber"),
        "revenue": dv.sum("orderAmount"),
        "margin": dv.sum("margin"),
        "average_price": dv.avg("priceEach"),
        "largest": dv.top_k("quantityOrdered", k=3),
    },
    dimensions=[products, locations],
)

buyers = dv.view(
    "buyers",
    source=fact_orders,
    transform=MONEY,
    keys=["customerNumber"],
    bucket="1d",
    measures={
        # One order number is kept, and whether there was another: `orders.overflowed` is a customer who came back.
        "orders": dv.collect_set("orderNumber", limit=1),
        "revenue": dv.sum("orderAmount"),
    },
)
