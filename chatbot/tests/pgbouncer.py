"""PgBouncer in transaction mode before the test's PostgreSQL: the same kind of pooler as Supavisor."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from chatbot_house import APP_PASSWORD, APP_ROLE, free_port
from drills import unprivileged

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


@contextmanager
def running_pgbouncer(url: str, *, servers: int) -> Generator[str]:
    """The serving role's address through the pooler; all clients share `servers` connections."""
    at, port = conninfo_to_dict(url), free_port()
    folder = Path(tempfile.mkdtemp(prefix="bitb-pgbouncer-"))
    (folder / "users").write_text(f'"{APP_ROLE}" "{APP_PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={at['host']} port={at['port']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder / 'users'}\n"
        f"pool_mode = transaction\ndefault_pool_size = {servers}\nmax_client_conn = 200\n"
        f"logfile = {folder / 'log'}\npidfile =\n"
    )
    unprivileged.give(folder)
    process = subprocess.Popen(
        unprivileged.command([PROGRAM, "-q", str(folder / "pgbouncer.ini")]),
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port, folder)
        yield f"postgresql://{APP_ROLE}:{APP_PASSWORD}@127.0.0.1:{port}/{at['dbname']}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    log = folder / "log"
    raise AssertionError(f"pgbouncer did not start: {log.read_text() if log.exists() else 'without a word'}")
