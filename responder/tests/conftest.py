"""A house for stories: real PostgreSQL, the real server and worker, vendors faked at the wire, a clock that is moved."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from house import House
from responder.store.migrate import migrate


@pytest.fixture(scope="session")
def template(make_database: Callable[..., contextmanager]) -> Generator[str]:
    """The name of a database with the whole schema."""
    with make_database() as url:
        migrate(url)
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def responder_database(template: str, make_database: Callable[..., contextmanager]) -> Generator[str]:
    """The address of a fresh database with the whole schema."""
    with make_database(template=template) as url:
        yield url


@pytest.fixture
async def house(responder_database: str, tmp_path: Path) -> AsyncGenerator[House]:
    async with House(responder_database, tmp_path) as opened:
        yield opened
