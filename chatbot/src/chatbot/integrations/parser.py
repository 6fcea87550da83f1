"""PDF and HTML → blocks, in a process of its own: bounded, and killed with whatever it started.

The child (`chatbot.integrations.parsing`) bounds itself before it reads a byte. It is given the document by a pipe and
answers by a pipe; it knows neither the environment nor any address.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import orjson

from chatbot.core.documents import MediaType
from chatbot.core.outline import Block
from chatbot.errors import DocumentRefused
from chatbot.integrations import parsing

TIME_LIMIT = timedelta(seconds=60)
AT_ONCE = 2
_ANSWER_LIMIT = parsing.MOST_LETTERS * 8


class SubprocessParser:
    """At most AT_ONCE documents are read at the same time; others wait."""

    def __init__(self, time_limit: timedelta = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._room = asyncio.Semaphore(AT_ONCE)

    async def parse(self, media_type: MediaType, parts: Sequence[bytes], *, whole: bool) -> list[Block]:
        """The blocks of the document. `whole`: with all of it, else without what surrounds a web page's content.

        Raises DocumentRefused with the reason that its owner sees.
        """
        async with self._room:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", parsing.__name__, media_type, "whole" if whole else "content",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                cwd="/", env={"OPENBLAS_NUM_THREADS": "1"}, start_new_session=True, close_fds=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(self._time_limit.total_seconds()):
                    _, answer = await asyncio.gather(_feed(child, parts), _listen(child))
                    status = await child.wait()
            except TimeoutError as error:
                limit = self._time_limit.total_seconds()
                raise DocumentRefused(
                    f"Reading it took more than {limit:g} s. Split it, or save it anew."
                ) from error
            finally:
                await _end(child)
        return _blocks(answer, status)


async def _feed(child: asyncio.subprocess.Process, parts: Sequence[bytes]) -> None:
    if child.stdin is None:
        raise RuntimeError("the parser has no input")
    with suppress(BrokenPipeError, ConnectionResetError):  # it refused or died first: its status tells
        for part in parts:
            child.stdin.write(part)
            await child.stdin.drain()
        child.stdin.close()
        await child.stdin.wait_closed()


async def _listen(child: asyncio.subprocess.Process) -> bytes:
    if child.stdout is None:
        raise RuntimeError("the parser has no output")
    answer = bytearray()
    while part := await child.stdout.read(65536):
        answer += part
        if len(answer) > _ANSWER_LIMIT:
            raise DocumentRefused(f"It holds more than {parsing.MOST_LETTERS} letters. Split it.")
    return bytes(answer)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kills the child's whole group, so that nothing that it started lives on."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def _blocks(answer: bytes, status: int) -> list[Block]:
    if status == -signal.SIGXCPU:
        raise DocumentRefused(
            f"Reading it took more than {parsing.CPU_SECONDS} s of processor time. Split it."
        )
    if status:
        raise DocumentRefused("It is malformed, or made to do harm: the program that reads it broke down.")
    found = orjson.loads(answer)
    if "refused" in found:
        raise DocumentRefused(found["refused"])
    return [Block(level=level, text=text, page=page) for level, text, page in found["blocks"]]
