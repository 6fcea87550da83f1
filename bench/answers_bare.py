"""What is measured beside the chatbot, on the same core and the same libraries: FastAPI that does nothing, and a bare relay."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import aiohttp
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

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
    async def events() -> AsyncGenerator[bytes]:
        if not hasattr(app.state, "session"):
            app.state.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": body.message}]}
        async with app.state.session.post(f"{app.state.upstream}/chat/completions", json=asked) as answer:
            async for chunk in answer.content.iter_any():
                yield b"event: token\n" + chunk

    return StreamingResponse(events(), media_type="text/event-stream")


def main(port: str, upstream: str) -> None:
    app.state.upstream = upstream
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False, lifespan="off")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
