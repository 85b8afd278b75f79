"""Columns that a source calls sensitive: what is seen of them where no grant says more.

The declaration is code, which serving does not load: what of it concerns a view's keys lies in a file beside the view,
written by each layer that starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from dovetail.shared import private
from dovetail.shared.errors import IntegrityError, UsageError
from dovetail.shared.grants import Mask
from dovetail.shared.tables import Layout

if TYPE_CHECKING:
    from dovetail.shared.declare import View

HIDDEN = "***"
"""What stands for a value in records that commands show."""


def keep(layout: Layout, view: View) -> None:
    """Tells serving which keys of a view are sensitive, from now on."""
    masks = {key: str(view.source.sensitive[key]) for key in view.keys if key in view.source.sensitive}
    if masks != of(layout, view.name):
        private.write(layout.sensitive(view.name), orjson.dumps(masks))


def of(layout: Layout, view: str) -> dict[str, str]:
    """The masks of a view's sensitive keys, as `Mask.parse` reads them.

    Raises:
        IntegrityError: they cannot be read: then nothing of the view may be seen.
    """
    file = layout.sensitive(view)
    try:
        found = orjson.loads(file.read_bytes())
        return {str(key): str(Mask.parse(mask)) for key, mask in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, UsageError) as error:
        raise IntegrityError(
            f"which keys of {view} are sensitive cannot be read", where=str(file), why=type(error).__name__,
            next="delete the file and start dovetail speed or batch again: it is written anew",
        ) from None  # fmt: skip


def shown(value: bytes, sensitive: Mapping[str, Mask]) -> bytes:
    """A record's bytes as commands show them: sensitive fields hidden; all of it where it cannot be told apart."""
    if not sensitive:
        return value
    try:
        fields = orjson.loads(value)
        return orjson.dumps(hidden(fields, sensitive)) if isinstance(fields, dict) else HIDDEN.encode()
    except (ValueError, TypeError, RecursionError):
        return HIDDEN.encode()


def hidden(fields: Any, sensitive: Mapping[str, Mask]) -> Any:
    """Fields of a record or a group as commands show them: sensitive ones hidden.

    At every depth, for a change holds its rows under before and after, and both under payload.
    """
    if isinstance(fields, Mapping):
        return {name: HIDDEN if name in sensitive else hidden(field, sensitive) for name, field in fields.items()}
    if isinstance(fields, list):
        return [hidden(field, sensitive) for field in fields]
    return fields
