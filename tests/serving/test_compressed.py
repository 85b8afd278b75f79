"""Large answers are compressed by turns with whatever else takes long; small ones, and plain ones, at once."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import Response

from dovetail.serving.compressed import FROM, LARGE, Compressed
from dovetail.serving.limits import Lane


@pytest.mark.parametrize(
    ("size", "takes", "sent_as", "waits"),
    [(LARGE, "gzip", "gzip", True), (LARGE - 1, "gzip", "gzip", False), (FROM - 1, "gzip", None, False),
     (LARGE, "identity", None, False)],
)  # fmt: skip
def test_only_what_is_large_waits_for_its_turn(size: int, takes: str, sent_as: str | None, waits: bool) -> None:
    async def main() -> None:
        lane = Lane(1, 60.0)
        transport = httpx.ASGITransport(Compressed(Response(b"x" * size, media_type="text/csv"), lane))
        async with httpx.AsyncClient(transport=transport, base_url="http://any") as http:
            asked = asyncio.create_task(http.get("/", headers={"accept-encoding": takes}))
            async with lane.place():
                await asyncio.wait([asked], timeout=0.3)
                assert asked.done() is not waits
            found = await asked
        assert (found.headers.get("content-encoding"), found.content) == (sent_as, b"x" * size)

    asyncio.run(main())


def test_who_has_been_compressed_for_leaves_the_place_to_others() -> None:
    async def main() -> None:
        app = Compressed(Response(b"x" * LARGE), Lane(1, 60.0))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:
            both = asyncio.gather(*(http.get("/", headers={"accept-encoding": "gzip"}) for _ in range(2)))
            assert {found.content for found in await asyncio.wait_for(both, 10)} == {b"x" * LARGE}

    asyncio.run(main())
