"""An app as a client meets it, without a socket, and its OpenAPI description with names that its views have."""

from __future__ import annotations

import copy
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import schemathesis
from access_stand import ALL, PEPPER, REQUIRED, give
from fastapi import FastAPI
from schemathesis.python.asgi import ASGIClient, get_client, shutdown_lifespans
from schemathesis.schemas import BaseSchema
from serving_stand import MEASURES, STATE_TYPES, Ends, Stand, ViewSpec, event

from dovetail.serving import query
from dovetail.serving.app import create_app
from dovetail.shared.measures import collect_set, top_k
from dovetail.shared.settings import Settings

HOST = "testserver"
"""What test clients call the server."""
LISTS = {"names": collect_set("names"), "best": top_k("best", k=2)}
"""Measures whose answers are lists."""
LINES = [
    event(country=c, product=p, names=[c or "none"], best=[float(p)])
    for c, p in (("FR", 1), ("FR", 2), ("DE", 2), (None, 3), ('a,"b\\', 4))
]
STATEMENTS = [
    "SELECT country, MEASURE(lines) FROM sales GROUP BY country",
    "SELECT MEASURE(names) FROM sales",
    "SELECT country, MEASURE(a.names) AS n FROM sales a JOIN again USING (country) GROUP BY country ORDER BY n",
    "SELECT country FROM nowhere GROUP BY country",
    "SELECT country FROM sales WHERE product = 'x' GROUP BY country",
    "SELECT 1",
]
NAMES = {
    "by": ["country", "product", "country,product", "bucket", "contry", ""],
    "measures": ["lines", "revenue", "names", "best", "lines,names", "lines.p50", "revenu", ""],
    "order_by": ["lines", "-names", "best", "country", "-bucket", "contry"],
    "start": ["2026-03-01", "2026-03-01T00:30Z", "0001-01-01", "9999-12-31T23:00Z", "2026-03-29T02:30", "soon"],
    "end": ["2026-03-02", "2026-02-01", "0001-01-01T00:00+14:00", "10000-01-01"],
    "bucket": ["1h", "1d", "1w", "1mo", "1y", "7h", "30m"], "window": ["1h", "7d", "1mo", "9999y", "90m"],
    "tz": ["UTC", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe", "../etc", "\0"],
    "sql": STATEMENTS,
}  # fmt: skip


@contextmanager
def app(folder: Path, *, keys: bool = False) -> Iterator[tuple[FastAPI, str]]:
    """An app with two views, one of them with measures that are lists, and a key that may do everything."""
    stand = Stand(folder / "data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        patched.setitem(STATE_TYPES, "names", pa.list_(pa.string()))
        patched.setitem(STATE_TYPES, "best", pa.list_(pa.float64()))
        waits = query._timeout
        patched.setattr(query, "_timeout", lambda fields: min(waits(fields), 0.005))
        for name in ("sales", "again"):
            stand.attach(ViewSpec(name, measures={**MEASURES, **LISTS}))
        stand.commit(LINES)
        stand.batch("sales")
        stand.commit(LINES)
        key = give(stand.layout, ALL) if keys else ""
        sections: dict[str, Any] = {"access": REQUIRED, "limits": {"requests_per_second": 100_000}} if keys else {}
        made = create_app(Settings(folder=folder, serving={"names": [HOST]}, **sections), log_end=Ends())  # type: ignore[arg-type]
        try:
            yield made, key
        finally:
            with warnings.catch_warnings():  # the client leaves the streams of an app's lifespan open
                warnings.simplefilter("ignore", ResourceWarning)
                shutdown_lifespans()
                gc.collect()


@contextmanager
def client(made: FastAPI, key: str = "") -> Iterator[ASGIClient]:
    """Asks an app, once all of its views answer."""
    with get_client(made) as http:
        http.headers.update({"Authorization": f"Bearer {key}"} if key else {})
        while http.get("/ready").status_code != 200:
            pass
        yield http


def described(made: FastAPI, *, named: bool) -> BaseSchema:
    """The app's description as schemathesis reads it, where `named` with names of the stand for those that it leaves
    open: else hardly any question would come further than the first name in it."""
    document = _named(copy.deepcopy(made.openapi())) if named else made.openapi()
    found = schemathesis.openapi.from_dict(document)
    found.app, found.location = made, "/openapi.json"
    return found


def _named(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    key = {"additionalProperties": False, "properties": {}}
    for name in ("country", "product", "lines", "names", "contry"):
        key["properties"][name] = {"$ref": "#/components/schemas/Condition"}
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _fitted(parameter["name"], parameter["schema"])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            for name, schema in body.get("properties", {}).items():
                body["properties"][name] = _fitted(name, schema)
                if name in ("where", "having"):
                    body["properties"][name] = {"type": "object", **key}
    assert "Condition" in schemas
    return document


def _fitted(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with values of the stand beside those it allows."""
    if name == "view":
        return {"enum": ["sales", "again", "nowhere"]}
    if name.startswith(("where.", "having.")):
        ((_, value),) = schema["patternProperties"].items()
        names = ["country", "product", "contry"] if name.startswith("where.") else ["lines", "names", "revenu"]
        rest = name.partition(".")[2].removeprefix("KEY").removeprefix("MEASURE").replace("OPERATOR", "gte")
        of = name.partition(".")[0]
        return {**schema, "patternProperties": {}, "properties": {f"{of}.{n}{rest}": value for n in names}}
    if name == "keys":
        row = {
            "type": "object",
            "properties": {"country": {"enum": ["FR", None, "x"]}, "product": {"enum": [1, "2", "x"]}},
        }
        return {**schema, "items": {**row, "required": ["country", "product"], "additionalProperties": False}}
    if name in NAMES:
        return {"anyOf": [{"enum": NAMES[name]}, schema]}
    return schema
