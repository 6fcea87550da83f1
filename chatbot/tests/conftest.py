"""Fixtures of the chatbot's stories."""

from __future__ import annotations

import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from chatbot.store.migrate import migrate
from chatbot_house import ChatbotHouse
from drills.valkey import Valkey

APP_PASSWORD = "the-apps-password"


def app_url(url: str) -> str:
    parts = conninfo_to_dict(url)
    return f"postgresql://chatbot_app:{APP_PASSWORD}@{parts['host']}:{parts['port']}/{parts['dbname']}"


@pytest.fixture(scope="session")
def chatbot_template(make_database: Callable[..., contextmanager]) -> Generator[str]:
    with make_database() as url:
        migrate(url, app_url(url))
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def chatbot_database(chatbot_template: str, make_database: Callable[..., contextmanager]) -> Generator[str]:
    """The superuser's address of a fresh database with the whole schema."""
    with make_database(template=chatbot_template) as url:
        yield url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def valkey_url() -> Generator[str]:
    with tempfile.TemporaryDirectory(prefix="bitb-test-") as folder:
        valkey = Valkey(directory=Path(folder), port=_free_port(), password=secrets.token_urlsafe(12))
        server = subprocess.Popen(valkey.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with redis.Redis.from_url(valkey.url) as client:
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)
        yield valkey.url
        server.terminate()
        server.wait()


@pytest.fixture
def urls(chatbot_database: str, valkey_url: str) -> dict[str, str]:
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return {"app": app_url(chatbot_database), "superuser": chatbot_database, "redis": valkey_url}


@pytest.fixture
async def chatbot(urls: dict[str, str], tmp_path: Path) -> AsyncGenerator[ChatbotHouse]:
    async with ChatbotHouse(urls, tmp_path) as house:
        yield house
