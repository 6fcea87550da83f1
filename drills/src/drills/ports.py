"""The stack's ports, in one block, and who has one that is taken."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from drills.errors import PortTaken

HOST = "127.0.0.1"
BASE = 8800
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port, counted from `base`."""

    base: int = BASE

    @property
    def chatbot(self) -> int:
        return self.base + 1

    @property
    def responder(self) -> int:
        return self.base + 2

    @property
    def prometheus(self) -> int:
        return self.base + 3

    @property
    def alertmanager(self) -> int:
        return self.base + 4

    @property
    def blackbox(self) -> int:
        return self.base + 5

    @property
    def postgres_exporter(self) -> int:
        return self.base + 6

    @property
    def chatbot_postgres(self) -> int:
        return self.base + 7

    @property
    def responder_postgres(self) -> int:
        return self.base + 8

    @property
    def valkey(self) -> int:
        return self.base + 9

    @property
    def groq(self) -> int:
        return self.base + 10

    @property
    def openai(self) -> int:
        return self.base + 11

    @property
    def sink(self) -> int:
        return self.base + 12

    @property
    def mail(self) -> int:
        return self.base + 13

    @property
    def chatbot_worker(self) -> int:
        return self.base + 14

    @property
    def responder_worker(self) -> int:
        return self.base + 15

    def every(self) -> dict[str, int]:
        """Name → port."""
        names = [name for name in vars(type(self)) if isinstance(vars(type(self))[name], property)]
        return {name.replace("_", " "): getattr(self, name) for name in names}

    def check_free(self) -> None:
        """Raises PortTaken that names each taken port, what it is for, and which process has it."""
        taken = [
            f"  port {port} ({name}): {_owner(port)}"
            for name, port in self.every().items()
            if not _is_free(port)
        ]
        if taken:
            raise PortTaken(
                "ports are taken:\n" + "\n".join(taken) + "\nStop that, or use another block of ports:"
                " --port-base 9800 (with make: make demo DRILL_ARGS='--port-base 9800 --stack-dir .stack-2')."
            )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _owner(port: int) -> str:
    """The process that listens on `port`, by what /proc tells this user."""
    inode = next((row[9] for row in _listening() if int(row[1].rsplit(":", 1)[1], 16) == port), None)
    if inode is None:
        return "a process that cannot be seen from here"
    for process in Path("/proc").glob("[0-9]*"):
        if f"socket:[{inode}]" in _open_files(process):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {process.name} ({words[:80]})"
    return "a process of another user"


def _open_files(process: Path) -> list[str]:
    """What a process has open; nothing of one that is not ours or has just ended."""
    links: list[str] = []
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(link))
    return links


def _listening() -> list[list[str]]:
    rows: list[list[str]] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            rows += [row.split() for row in Path(table).read_text(encoding="ascii").splitlines()[1:]]
    return [row for row in rows if row[3] == _LISTENING]
