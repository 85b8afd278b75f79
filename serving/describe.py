"""What a view says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.serving.seen import Seen
from dovetail.serving.shape import type_name
from dovetail.serving.view import View
from dovetail.shared.duration import length
from dovetail.shared.errors import DovetailError

ADDITIVE = ("count", "sum")
"""Measures whose answers of the two layers add up to the merged one."""
UNREAD = "it could not be read when it was last looked at"


def refusal(view: View) -> DovetailError | None:
    """Why questions are refused now; None where they are answered."""
    try:
        view.edition  # noqa: B018  raises where there is none
    except DovetailError as error:
        return error
    return None


def told(refused: DovetailError, *, inside: bool) -> str:
    """Why questions are refused; the `inside` of it (paths, hosts) for who operates the view."""
    return f"{refused.what} ({refused.why})" if inside and refused.why else refused.what


def standing(view: View, *, inside: bool) -> str:
    """`ready`, or why questions are refused now."""
    refused = refusal(view)
    return told(refused, inside=inside) if refused else "ready"


def line(view: View, *, inside: bool) -> dict[str, Any]:
    """A view in a list."""
    edition = view.published
    return {
        "view": view.name,
        "version": edition.shape.version if edition else None,
        "seq": edition.seq if edition else None,
        "standing": standing(view, inside=inside),
    }


def whole(view: View, seen: Seen, *, inside: bool) -> dict[str, Any]:
    """Keys with their types as they are seen, bucket, measures, and what answers are made of; `additive` are those
    measures that may be asked of one layer alone and add up.

    Raises where the view cannot answer.
    """
    edition = view.edition
    shape, manifest = edition.shape, edition.manifest
    return {
        "view": view.name,
        "version": shape.version,
        "source": shape.source,
        "keys": {name: type_name(seen.type(shape, name)) for name in shape.keys},
        "masked": {name: str(mask) for name, mask in sorted(seen.masks.items())},
        "bucket": length(shape.bucket_seconds) if shape.bucket_seconds else None,
        "measures": {name: type_name(shape.presented(name).result) for name in shape.measures},
        "additive": [n for n, m in shape.measures.items() if m.name in ADDITIVE and not (seen.hides(n) or seen.floor)],
        "parts": {name: list(m.presenter.parts) for name, m in shape.measures.items() if m.presenter.parts},
        "accuracy": {name: m.presenter.accuracy for name, m in shape.measures.items() if m.presenter.accuracy},
        "dimensions": {
            d.name: {
                "key": d.key,
                "version": d.n,
                "columns": {n: type_name(seen.type(shape, f"{d.name}.{n}")) for n in d.types},
                **_read(view.dimensions.standing(d.name), inside=inside),
            }
            for d in shape.dimensions
        },
        "generation": manifest.generation,
        "runs": [{"id": r.id, "from_seq": r.from_seq, "to_seq": r.to_seq, "records": r.records} for r in manifest.runs],
        "cut": manifest.cut.as_json(),
        "position": edition.position.as_json(),
        "seq": edition.seq,
    }


def _read(standing: Mapping[str, Any], *, inside: bool) -> Mapping[str, Any]:
    """When a dimension was last read; why not since, which names files and hosts, for who operates the view."""
    return standing if inside or not standing["problem"] else {**standing, "problem": UNREAD}
