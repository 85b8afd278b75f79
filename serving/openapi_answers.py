"""What is answered, as the OpenAPI description has it: a schema for every JSON document."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from dovetail.serving.openapi_questions import CONDITION, Schema
from dovetail.serving.past import ID
from dovetail.serving.problems import Kind
from dovetail.serving.query import Layer
from dovetail.shared.proofs import Proved

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES: Schema = {"type": "boolean"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object that holds these and no others, the `optional` ones not always."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


_JOINED: dict[str, Schema] = {"version": WHOLE}
_ACCOUNT: dict[str, Schema] = {
    "view": TEXT, "version": TEXT, "runs": _list(TEXT), "cut": ref("Position"), "position": ref("Position"),
    "seq": WHOLE, "quarantined": WHOLE, "failed": WHOLE, "gaps": _list(ref("Gap")), "complete": YES,
    "imports": _list(ref("Import")),
}  # fmt: skip
_BEHIND = _object({"records": _or_null(WHOLE), "seconds": _or_null(NUMBER)})
_ID: Schema = {"type": "string", "pattern": f"^{ID.pattern}$"}
_LINE: dict[str, Schema] = {"view": TEXT, "version": _or_null(TEXT), "seq": _or_null(WHOLE), "standing": TEXT}
_WAY = {"version": TEXT, "next": TEXT}
_DIFFERS = _object({"differing": WHOLE, "before": _or_null(TEXT), "after": _or_null(TEXT)})
_CHANGE = _object({
    "staged": _list(_object({**_WAY, "seq": WHOLE})), "back": _or_null(_object({**_WAY})),
    "held_back": _or_null(_object({"what": TEXT, "next": TEXT})),
    "changed": _or_null(_object({"version": TEXT, "before": TEXT, "at": NUMBER, "note": TEXT})),
    "diff": _or_null(_object({
        "before": TEXT, "after": TEXT, "seq": WHOLE, "at": NUMBER, "within": NUMBER, "groups": WHOLE, "gone": WHOLE,
        "new": WHOLE, "measures": _map(_DIFFERS),
    })),
})  # fmt: skip
_OF_VIEW: dict[str, Schema] = {
    **_LINE, **_ACCOUNT, "dimensions": _map(_object(_JOINED)), "source": TEXT, "origin": ref("Position"),
    "end": _or_null(ref("Position")), "behind": _BEHIND, "run_at": _or_null(NUMBER), "proved": _or_null(ref("Proved")),
    "change": _or_null(_CHANGE),
}  # fmt: skip
_TYPES: dict[type, Schema] = {int: WHOLE, float: NUMBER, bool: YES}
_hints: dict[str, Any] = get_type_hints(Proved)

SCHEMAS: dict[str, Schema] = {
    "Problem": {
        **_object({
            "type": {"enum": [f"urn:dovetail:{kind}" for kind in get_args(Kind)]}, "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599}, "detail": TEXT, "next": TEXT,
        }),
        "description": "Why there is no answer (RFC 9457), and in `next` what to do.",
    },
    "Condition": CONDITION,
    "Position": {**_map({"type": "integer", "minimum": 0}), "description": "Offset by partition, excluded."},
    "Gap": {**_map({"type": ["string", "integer", "object"]}), "description": "Records in no answer, and why."},
    "Import": {
        **_object({"id": WHOLE, "records": WHOLE, "quarantined": WHOLE, "repeats": WHOLE}),
        "description": "Old history that was never in the log, and is in the answer.",
    },
    "Behind": _BEHIND,
    "Receipt": _object(
        {"id": _ID, **_ACCOUNT, "dimensions": _map(_object({**_JOINED, "unmatched": _or_null(WHOLE)})),
         "approximate": _list(TEXT), "behind": ref("Behind"), "more": YES, "next": TEXT,
         "layer": {"enum": [*get_args(Layer)]}},
        optional=("more", "next", "layer", "imports"),
    ),
    "Answer": _object(
        {"rows": _list({"type": "object"}), "receipt": ref("Receipt"), "receipts": _list(ref("Receipt"))},
        optional=("receipts",),
    ),
    "Account": _object({"id": _ID, **_ACCOUNT, "dimensions": _map(_object(_JOINED))}, optional=("imports",)),
    "Views": _object({"views": _list(_object(_LINE))}),
    "View": _object({
        "view": TEXT, "version": TEXT, "source": TEXT, "keys": _map(TEXT), "masked": _map(TEXT),
        "bucket": _or_null(TEXT), "measures": _map(TEXT), "parts": _map(_list(TEXT)), "accuracy": _map(TEXT),
        "dimensions": _map({"type": "object"}), "generation": WHOLE, "runs": _list(_object({
            "id": TEXT, "from_seq": WHOLE, "to_seq": WHOLE, "records": WHOLE})),
        "cut": ref("Position"), "position": ref("Position"), "seq": WHOLE, "additive": _list(TEXT), "shares": YES,
    }),
    "Link": _object({"path": TEXT, "expires": WHOLE}),
    "Proved": _object({field.name: _TYPES[_hints[field.name]] for field in fields(Proved)}),
    "Status": _object({
        "now": NUMBER, "problems": _list(_object({"of": TEXT, "what": TEXT, "next": TEXT})),
        "views": _list(_object(_OF_VIEW, optional=tuple(name for name in _OF_VIEW if name not in _LINE))),
    }),
    "Up": _object({"up": YES}),
    "Ready": _object({"ready": YES, "views": _map(TEXT)}),
}  # fmt: skip
