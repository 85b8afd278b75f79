"""A control of the answers benchmark: FastAPI over PostgreSQL, finished rows found by a covering index.

The fair way to write it: a pool with a connection for each client, prepared statements, an index-only scan.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

TABLE = """
    CREATE TABLE sales (shop text, product text, rows bigint, revenue numeric(38, 2), mean numeric(38, 6), most int);
    CREATE UNIQUE INDEX covering ON sales (shop, product) INCLUDE (rows, revenue, mean, most);
"""
QUESTION = "SELECT shop, product, rows, revenue, mean, most FROM sales WHERE shop = %s AND product = %s"
COLUMNS = ("shop", "product", "rows", "revenue", "mean", "most")


def fill(database: str, rows: Iterable[dict[str, Any]]) -> None:
    """Makes the table of finished rows, and makes sure that the question is answered from its index alone."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLE)
        with connection.cursor() as cursor, cursor.copy(f"COPY sales ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([row[name] for name in COLUMNS])
        connection.execute("VACUUM ANALYZE sales")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {QUESTION}", ("s1", "p1")))
        if "Index Only Scan using covering" not in plan:
            raise RuntimeError(f"the index does not cover the question:\n{plan}")


def main(database: str, port: str, clients: str) -> None:
    pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]](
        database, min_size=int(clients), max_size=int(clients), open=False,
        kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0},
    )  # fmt: skip

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/q")
    async def answer(shop: str, product: str) -> dict[str, Any]:
        async with pool.connection() as connection:
            found = await connection.execute(QUESTION, (shop, product))
            return {"rows": await found.fetchall()}

    uvicorn.run(app, port=int(port), access_log=False, log_level="warning", proxy_headers=False, server_header=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
