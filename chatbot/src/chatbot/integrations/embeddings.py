"""Texts → vectors: by the model in this process, or by any service with OpenAI's wire format for `/embeddings`."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import orjson

from chatbot.core.passages import DIMENSIONS, Vector
from chatbot.errors import ConfigError, EmbeddingFailed
from chatbot.integrations import minilm
from chatbot.integrations.llm import seconds_in

TIMEOUT = timedelta(seconds=30)
# A batch is short enough for others to come in between: a question does not wait for a whole document.
BATCH = 8
_REMOTE_BATCH = 64
_LARGEST = 32_000_000
_SHOWN = 200


class LocalEmbedder:
    """The model in this process, in one thread of its own: more would only fight for the same core.

    Texts that come while it is busy are read together: sixty questions at once take less than sixty times as long.
    """

    name = minilm.NAME

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embed")
        self._waiting: deque[tuple[str, asyncio.Future[Vector]]] = deque()
        self._reading: asyncio.Task[None] | None = None

    def tokens(self, text: str) -> Sequence[tuple[int, int]]:
        return minilm.load().tokens(text)

    def telling(self, question: str) -> Sequence[str]:
        return minilm.telling(question)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        loop = asyncio.get_running_loop()
        asked = [(text, loop.create_future()) for text in texts]
        self._waiting.extend(asked)
        if self._reading is None or self._reading.done():
            self._reading = loop.create_task(self._read())
        return list(await asyncio.gather(*(vector for _, vector in asked)))

    async def _read(self) -> None:
        """Reads what waits, batch by batch, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            batch = [text for text, vector in some if not vector.done()]
            try:
                found = await loop.run_in_executor(
                    self._thread, lambda batch=batch: minilm.load().embed(batch)
                )
            except Exception as error:  # noqa: BLE001 - handed on to everyone who waits
                for _, vector in some:
                    if not vector.done():
                        vector.set_exception(error)
                continue
            by_text = dict(zip(batch, found, strict=True))
            for text, vector in some:
                if not vector.done():  # whoever asked may have left
                    vector.set_result(by_text[text])

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingEndpoint:
    """Where embeddings are made. The key is never shown by `repr`."""

    base_url: str
    api_key: str
    model: str

    def __repr__(self) -> str:
        return f"EmbeddingEndpoint(base_url={self.base_url!r}, model={self.model!r}, ...)"


class RemoteEmbedder:
    """A service. Texts are cut by the tokenizer of the model here, which counts about as others do."""

    def __init__(
        self, session: aiohttp.ClientSession, endpoint: EmbeddingEndpoint, *, timeout: timedelta = TIMEOUT
    ) -> None:
        self.name = endpoint.model
        self._timeout = timeout.total_seconds()
        self._session = session
        self._url = endpoint.base_url.rstrip("/") + "/embeddings"
        self._headers = {"Content-Type": "application/json"}
        if endpoint.api_key:
            self._headers["Authorization"] = f"Bearer {endpoint.api_key}"

    def tokens(self, text: str) -> Sequence[tuple[int, int]]:
        return minilm.load().tokens(text)

    def telling(self, question: str) -> Sequence[str]:
        return minilm.telling(question)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Raises EmbeddingFailed, and ConfigError for a model of another dimension."""
        vectors: list[Vector] = []
        for start in range(0, len(texts), _REMOTE_BATCH):
            batch = list(texts[start : start + _REMOTE_BATCH])
            vectors += _vectors(await self._ask(batch), count=len(batch), model=self.name)
        return vectors

    async def _ask(self, batch: list[str]) -> bytes:
        body = {"model": self.name, "input": batch, "dimensions": DIMENSIONS, "encoding_format": "float"}
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(
                    self._url, data=orjson.dumps(body), headers=self._headers, allow_redirects=False
                ) as response,
            ):
                if response.status != 200:
                    said = (await response.content.read(_SHOWN)).decode(errors="replace")
                    raise EmbeddingFailed(
                        f"The embedding service answered {response.status}: {said}",
                        after=seconds_in(response.headers.get("Retry-After")),
                    )
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > _LARGEST:
                        raise EmbeddingFailed(
                            f"The embedding service's answer has more than {_LARGEST} bytes."
                        )
                return bytes(answer)
        except TimeoutError as error:
            raise EmbeddingFailed(
                f"The embedding service did not answer within {self._timeout:g} s."
            ) from error
        except aiohttp.ClientError as error:
            raise EmbeddingFailed(f"The embedding service cannot be reached: {error}") from error


def _vectors(answer: bytes, *, count: int, model: str) -> list[Vector]:
    try:
        data: list[dict[str, Any]] = sorted(orjson.loads(answer)["data"], key=lambda each: each["index"])
        vectors = [tuple(map(float, each["embedding"])) for each in data]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise EmbeddingFailed(
            f"The embedding service's answer is not understood: {answer[:_SHOWN]!r}"
        ) from error
    if len(vectors) != count:
        raise EmbeddingFailed(f"The embedding service gave {len(vectors)} vectors for {count} texts.")
    for vector in vectors:
        if len(vector) != DIMENSIONS:
            raise ConfigError(
                f"The embedding model '{model}' gives {len(vector)} dimensions; the database holds {DIMENSIONS}.",
                remedy="Set CHATBOT_EMBEDDINGS_MODEL to one of that many, or one that can be asked for them.",
            )
    return [_of_length_one(vector) for vector in vectors]


def _of_length_one(vector: Vector) -> Vector:
    length = math.hypot(*vector)
    if not length or not math.isfinite(length):
        raise EmbeddingFailed("The embedding service gave a vector without a direction.")
    return tuple([x / length for x in vector])  # a list on the way: a quarter faster
