"""Starts the stack's programs, watches them, and ends every one of them, whatever becomes of this process.

Each child asks the kernel to be killed when its parent dies, so that not even SIGKILL leaves one behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drills.errors import ChildDied, NotReady

READY_SECONDS = 30.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program of the stack. `stop` is the signal that ends it gracefully."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    stop: signal.Signals = signal.SIGTERM
    folder: Path = Path("/")


class Supervisor:
    """Use as an async context manager; the programs end with it, the last started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[tuple[Program, asyncio.subprocess.Process]] = []

    async def __aenter__(self) -> Supervisor:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, program: Program) -> None:
        """Starts a program and waits until it answers. Raises ChildDied, NotReady."""
        log = self._logs / f"{program.name}.log"
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *die_with_parent(program.argv),
                cwd=program.folder,
                env=dict(program.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children.append((program, child))
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await program.ready():
                    self._check_alive(program, child)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise NotReady(
                f"{program.name} did not answer within {READY_SECONDS:.0f} s: {_tail(log)}"
            ) from error

    async def watch(self) -> None:
        """Runs until a program ends by itself, which raises ChildDied."""
        waiting = {asyncio.ensure_future(child.wait()): program for program, child in self._children}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            program = waiting[next(iter(done))]
            raise ChildDied(f"{program.name} ended by itself: {_tail(self._logs / f'{program.name}.log')}")
        finally:
            for future in waiting:
                future.cancel()

    async def stop(self) -> None:
        """Ends every program: asks first, then insists."""
        # The databases are asked last: what uses them ends without errors.
        for program, child in reversed(self._children):
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(program.stop)
        ends = [self._end(child) for _, child in reversed(self._children)]
        await asyncio.gather(*ends)
        self._children.clear()

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    def pids(self) -> dict[str, int]:
        return {program.name: child.pid for program, child in self._children}

    def _check_alive(self, program: Program, child: asyncio.subprocess.Process) -> None:
        if child.returncode is not None:
            log = self._logs / f"{program.name}.log"
            raise ChildDied(f"{program.name} ended with {child.returncode} when it was started: {_tail(log)}")


def die_with_parent(argv: Sequence[str]) -> list[str]:
    """The command, killed by the kernel when its parent dies. One that changes its user asks for it itself."""
    if argv[0] == "setpriv":
        return list(argv)
    return ["setpriv", "--pdeathsig=KILL", *argv]


def _tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return f"{text.strip()[-700:]} (the whole log: {log})"


async def run_once(argv: Sequence[str], environ: Mapping[str, str], *, name: str) -> str:
    """Runs a command to its end and gives its output. Raises ChildDied."""
    child = await asyncio.create_subprocess_exec(
        *die_with_parent(argv),
        env=dict(environ),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    if child.returncode:
        raise ChildDied(f"{name} failed: {errors.decode(errors='replace').strip()[-700:]}")
    return output.decode()
