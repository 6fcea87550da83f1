"""What the tests of all parts stand on: a real PostgreSQL, and a real browser.

One server a run, a fresh database a test, copied from a template.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from playwright.async_api import Browser, async_playwright, expect
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from drills.postgres import TEST_SETTINGS, Cluster

# Two cores shared by a browser, a server and a database can be slow: waiting longer is no failure.
expect.set_options(timeout=20_000)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    """A superuser's address of a running server. TEST_DATABASE_URL, where it is set, is used instead of our own."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="bitb-test-"))
    folder.chmod(0o711)
    cluster = Cluster(
        directory=folder / "pg", port=free_port(), password=secrets.token_urlsafe(16), settings=TEST_SETTINGS
    )
    try:
        with cluster.running():
            yield cluster.url()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _on(url: str, database: str) -> str:
    base, _, _ = url.rpartition("/")
    return f"{base}/{database}"


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> Callable[..., contextmanager]:
    """Makes a database, by name or from a template, and drops it at the end."""

    @contextmanager
    def make(*, template: str | None = None) -> Generator[str]:
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(postgres_url, autocommit=True) as conn:
            source = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
            conn.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), source))
        try:
            yield _on(postgres_url, name)
        finally:
            with psycopg.connect(postgres_url, autocommit=True) as conn:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    return make


@pytest.fixture
def database_url(make_database: Callable[..., contextmanager]) -> Generator[str]:
    """An empty database."""
    with make_database() as url:
        yield url


def database_name(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
async def browser() -> AsyncGenerator[Browser]:
    """The distribution's Chromium, without a window. It asks nothing of the network by itself."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium: sudo apt-get install chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        await launched.close()
