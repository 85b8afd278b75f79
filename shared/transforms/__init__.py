"""The transform library: small pure steps from DataFrame to DataFrame, the same in both layers; `dv.transforms`.

Each function gives a step, which a view takes in its list beside the user's own functions, and `df.transform` too.
What is wrong with the arguments is a DeclarationError at once, with the user's file and line; a column that is not
there is a UserCodeError when rows come.
"""

from dovetail.shared.transforms.columns import cast, derive, rename
from dovetail.shared.transforms.nested import explode_items, flatten
from dovetail.shared.transforms.pinned import lookup
from dovetail.shared.transforms.private import hash_columns, mask
from dovetail.shared.transforms.text import standardise, trim_empty_to_null
from dovetail.shared.transforms.times import parse_timestamps
from dovetail.shared.transforms.values import KEEP, bin, map_values

__all__ = [
    "KEEP",
    "bin",
    "cast",
    "derive",
    "explode_items",
    "flatten",
    "hash_columns",
    "lookup",
    "map_values",
    "mask",
    "parse_timestamps",
    "rename",
    "standardise",
    "trim_empty_to_null",
]
