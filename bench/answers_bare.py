"""What is measured beside the chatbot, on the same core and the same libraries: FastAPI that does nothing, and a bare relay.

The relay makes the two calls that no answer can do without, the embedding and the model, and passes the stream on. The
floor makes the chatbot's ways to Redis and to PostgreSQL too, with nothing to do there: what is left above it is the
chatbot's own work, and the databases'.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import aiohttp
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from redis.asyncio import Redis

EVENTS = b"event: token\ndata: {}\n\nevent: done\ndata: {}\n\n"
app = FastAPI()


class Body(BaseModel):
    message: str


@app.post("/bare")
async def bare(body: Body) -> StreamingResponse:
    async def events() -> AsyncGenerator[bytes]:
        yield EVENTS

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/relay")
async def relay(body: Body) -> StreamingResponse:
    return StreamingResponse(_relayed(body), media_type="text/event-stream")


# An answer's ways before its first token and after its last.
TO_REDIS = (4, 1)  # three limits, the answer's place in the cache; keeping it there
TO_POSTGRESQL = (2, 1)  # what it starts from and the words, the passages and the budget; keeping the exchange


@app.post("/floor")
async def floor(body: Body) -> StreamingResponse:
    if not hasattr(app.state, "pool"):
        app.state.pool = AsyncConnectionPool(app.state.database, open=False, kwargs={"autocommit": True})
        await app.state.pool.open()
        app.state.redis = Redis.from_url(app.state.cache)
    await _ways(0)

    async def events() -> AsyncGenerator[bytes]:
        async for chunk in _relayed(body):
            yield chunk
        await _ways(1)

    return StreamingResponse(events(), media_type="text/event-stream")


async def _relayed(body: Body) -> AsyncGenerator[bytes]:
    if not hasattr(app.state, "session"):
        app.state.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    wanted = {"model": "m", "input": [body.message]}
    async with app.state.session.post(f"{app.state.upstream}/embeddings", json=wanted) as embedded:
        await embedded.read()
    asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": body.message}]}
    async with app.state.session.post(f"{app.state.upstream}/chat/completions", json=asked) as answer:
        async for chunk in answer.content.iter_any():
            yield b"event: token\n" + chunk


async def _ways(which: int) -> None:
    for _ in range(TO_REDIS[which]):
        await app.state.redis.get("nothing")
    for _ in range(TO_POSTGRESQL[which]):
        async with app.state.pool.connection() as conn:
            cursor = await conn.execute("SELECT 1")
            await cursor.fetchall()


def main(port: str, upstream: str, database: str, cache: str) -> None:
    app.state.upstream, app.state.database, app.state.cache = upstream, database, cache
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False, lifespan="off")


if __name__ == "__main__":
    main(*sys.argv[1:])
