"""A model's provider for one machine: OpenAI's chat-completions format with streaming, and a reranker; it fails on demand.

It answers with sentences out of the passages in the prompt, so that its answers can be checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

# A provider's pace, more or less.
TOKEN_SECONDS = 0.005


class Behaviour(StrEnum):
    """How a part behaves; `break` ends a stream in the middle."""

    OK = "ok"
    FAIL = "fail"
    STALL = "stall"
    BREAK = "break"


@dataclass(slots=True)
class Upstream:
    chat: Behaviour = Behaviour.OK
    rerank: Behaviour = Behaviour.OK

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/rerank", self._rerank)
        app.router.add_put("/_faults", self._faults)
        return app

    async def _faults(self, request: web.Request) -> web.Response:
        """`{"chat": …, "rerank": …}`."""
        try:
            wanted = {name: Behaviour(word) for name, word in (await request.json()).items()}
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.chat = wanted.get("chat", self.chat)
        self.rerank = wanted.get("rerank", self.rerank)
        return web.json_response({"chat": self.chat, "rerank": self.rerank})

    async def _models(self, _: web.Request) -> web.Response:
        if self.chat is Behaviour.FAIL:
            return _error(503)
        return web.json_response({"object": "list", "data": [{"id": "local", "object": "model"}]})

    async def _rerank(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.rerank is Behaviour.STALL:
            await asyncio.sleep(3600)
        if self.rerank is not Behaviour.OK:
            return _error(500)
        asked = _words(body["query"])
        scores = [
            {"index": n, "relevance_score": len(asked & _words(text)) / (len(asked) or 1)}
            for n, text in enumerate(body["documents"])
        ]
        return web.json_response({"results": scores})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.chat is Behaviour.FAIL:
            return _error(503)
        if self.chat is Behaviour.STALL:
            await asyncio.sleep(3600)
        tokens = re.findall(r"\S+\s*", answer(body["messages"]))[: body.get("max_tokens", 400)]
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(tokens)}
            return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            await self._stream(response, tokens)
        return response

    async def _stream(self, response: web.StreamResponse, tokens: list[str]) -> None:
        for n, token in enumerate(tokens):
            if self.chat is Behaviour.BREAK and n == 2:
                return
            chunk = {
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": token}}],
            }
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await asyncio.sleep(TOKEN_SECONDS)
        await response.write(b"data: [DONE]\n\n")


def _error(status: int) -> web.Response:
    return web.json_response({"error": {"message": "told to fail", "type": "server_error"}}, status=status)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def answer(messages: list[dict[str, Any]]) -> str:
    """The sentence of the numbered passages that shares most words with the question, cited."""
    question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    material = "\n".join(m["content"] for m in messages if m["role"] == "system")
    best, cited = "", 0
    for part in re.split(r"\n\n(?=\[\d+\])", material):
        number = re.match(r"\[(\d+)\]", part)
        if number is None:
            continue
        for sentence in re.split(r"(?<=[.!?])\s+", part.partition("\n")[2]):
            if len(_words(sentence) & _words(question)) > len(_words(best) & _words(question)):
                best, cited = sentence.strip(), int(number[1])
    return f"{best} [{cited}]" if best else "The passages do not say."
