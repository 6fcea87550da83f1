"""Whatever ends the drill, its children end with it; what is in the way is named."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from drills.errors import ChildDied, DrillError, MissingProgram, PortTaken
from drills.ports import Ports
from drills.programs import find
from drills.stack import _lock
from drills.supervisor import Program, Supervisor

PARENT = """
import asyncio, sys
from pathlib import Path
from drills.supervisor import Program, Supervisor
async def main():
    async def ready(): return True
    async with Supervisor(Path(sys.argv[1])) as supervisor:
        await supervisor.start(Program(name="sleeper", argv=["sleep", "1000"], environ={"PATH": "/usr/bin:/bin"}, ready=ready))
        print(supervisor.pids()["sleeper"], flush=True)
        await supervisor.watch()
asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def parent(tmp_path: Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    child = int(process.stdout.readline())
    yield process, child
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_children_end_with_the_parent(
    parent: tuple[subprocess.Popen[str], int], number: signal.Signals
) -> None:
    """Also when the parent is killed outright and can do nothing any more."""
    process, child = parent
    assert alive(child)
    process.send_signal(number)
    process.wait(10)
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


async def test_a_child_that_dies_at_its_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    """Its name, its code, the end of its log and where the rest is."""

    async def never() -> bool:
        return False

    program = Program(
        name="broken",
        argv=["sh", "-c", "echo no such thing >&2; exit 3"],
        environ=dict(os.environ),
        ready=never,
    )
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildDied, match=r"broken ended with 3 .* no such thing"):
            await supervisor.start(program)


async def test_a_child_that_ends_later_ends_the_watch(tmp_path: Path) -> None:
    """The stack does not go on half."""

    async def ready() -> bool:
        return True

    async with Supervisor(tmp_path) as supervisor, asyncio.timeout(10):
        await supervisor.start(
            Program(name="short", argv=["sleep", "0.1"], environ=dict(os.environ), ready=ready)
        )
        with pytest.raises(ChildDied, match="short ended by itself"):
            await supervisor.watch()


def test_a_taken_port_is_named_with_who_has_it() -> None:
    """The port, what it is for, the process; and what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(
            PortTaken, match=rf"(?s)port {port} \(prometheus\): process {os.getpid()} .*--port-base"
        ):
            Ports(port - 3).check_free()


def test_a_missing_program_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No guess, no download: one line to run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingProgram, match=r"'prometheus-alertmanager' .*apt-get install .* prometheus-alertmanager"
    ):
        find("prometheus-alertmanager", unpacked=tmp_path)


def test_a_program_that_was_unpacked_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root the set-up unpacks the distribution's packages into the stack's folder."""
    monkeypatch.setenv("PATH", "/nowhere")
    program = tmp_path / "usr" / "bin" / "prometheus"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find("prometheus", unpacked=tmp_path) == str(program)


def test_one_stack_a_folder(tmp_path: Path) -> None:
    """A second one is told who is there, and how to have two."""
    with (
        _lock(tmp_path),
        pytest.raises(DrillError, match=rf"process {os.getpid()}.*--stack-dir"),
        _lock(tmp_path),
    ):
        pass
    with _lock(tmp_path):
        pass
