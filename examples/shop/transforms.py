"""What becomes of an order line before it counts: steps of `dv.transforms`, the same in both layers.

They work row by row: no grouping, no clock, no reading. A step of your own is a function from DataFrame to DataFrame.
Money is `decimal`, never `double`, so sums are exact.
"""

import dovetail as dv

T = dv.transforms

# `' SHIPPED'` and `'shipped'` are `'Shipped'`; nothing written is null.
CLEANING = [
    T.trim_empty_to_null(["postalCode", "productCode", "status"]),
    T.standardise("status", case="title"),
    T.map_values({"status": {"Canceled": "Cancelled"}}),
]

# The old till sends no amount. The margin is negative when sold below cost, null when either price is.
MONEY = [
    T.derive(
        {
            "orderAmount": "coalesce(orderAmount, quantityOrdered * priceEach)",
            "margin": "orderAmount - quantityOrdered * buyPrice",
        }
    ),
]
