"""The second wall: behind row-level security every statement still names its tenant, for the planner and for the day that a
policy fails."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

import chatbot.store
import guards
from chatbot.core.caller import Caller, CallerKind
from chatbot.errors import NotFound
from chatbot.stages.ports import Outside
from chatbot.stages.recollect import recollect
from chatbot.stages.retrieve import retrieve
from chatbot.store.catalogue import FACTS, PARAMETERS
from chatbot.store.db import Database
from chatbot_house import Chatbot

STORE = Path(str(chatbot.store.__file__)).parent
# Statements that cannot name one tenant, and why: file -> what the statement holds -> reason.
ACROSS_TENANTS: dict[tuple[str, str], str] = {
    ("audit.py", "INSERT INTO audit_logs"): "the tenant is its first value, and null where none was proved",
}


def statements() -> Iterator[tuple[str, str]]:
    """Every string of the store that speaks SQL, with its file."""
    for file in sorted(STORE.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.search(r"\b(FROM|INTO|UPDATE) ", node.value)
            ):
                yield file.name, node.value


# Those that act as their caller; what is `SECURITY DEFINER` is reviewed, and listed in the catalogue.
FUNCTIONS = """
SELECT p.proname AS name, statement AS text
  FROM pg_proc p, LATERAL unnest(string_to_array(p.prosrc, ';')) AS statement
 WHERE p.pronamespace = 'public'::regnamespace AND NOT p.prosecdef AND p.prorettype <> 'trigger'::regtype
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def test_every_statement_about_a_tenants_rows_names_the_tenant(superuser_url: str) -> None:
    """A statement without it is slow by a factor of eighty, and leaks when the policy does: in the store, and in functions."""
    with psycopg.connect(superuser_url, row_factory=dict_row) as conn:
        facts = conn.execute(FACTS, PARAMETERS).fetchone()
        functions = [(row["name"], row["text"]) for row in conn.execute(FUNCTIONS)]
    assert facts is not None
    assert {"best_passages", "keep_exchanges"} <= {name for name, _ in functions}
    tables = {table["name"] for table in facts["tables"]}
    checked, loose = 0, list[str]()
    for file, text in [*statements(), *functions]:
        for table in re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:public\.)?(\w+)", text):
            if table not in tables:
                continue
            checked += 1
            named = r"\bid\b" if table == "tenants" else r"\btenant_id\b"
            allowed = any(name == file and part in text for name, part in ACROSS_TENANTS)
            if not re.search(named, text) and not allowed:
                loose.append(f"{file}: {' '.join(text.split())[:100]}")
    assert loose == []
    assert checked >= 20


@pytest.fixture
async def without_policies(chatbot: Chatbot, superuser_url: str) -> AsyncIterator[Outside]:
    """The same parts over connections that no policy binds: what is left is the statements' own WHERE."""
    async with Database(superuser_url, size=2, application="test", checked=False) as db:
        yield replace(chatbot.parts, database=db)


async def test_the_statements_alone_keep_tenants_apart(chatbot: Chatbot, without_policies: Outside) -> None:
    """With row-level security out of the way, a search still finds the asker's passages only."""
    for name, days in (("acme", "30 days"), ("globex", "14 days")):
        caller = Caller(tenant=chatbot.tenants[name], actor="test", kind=CallerKind.API_KEY)
        found = await retrieve(without_policies, caller, "When is a refund possible?", limit=20)
        assert [days in passage.text for passage in found] == [True]


async def test_a_conversation_is_not_found_by_the_statement_alone(
    chatbot: Chatbot, without_policies: Outside, superuser_url: str
) -> None:
    """With row-level security out of the way, globex still does not find acme's conversation."""
    _, events, _ = await chatbot.ask("When is a refund possible?")
    conversation = events[-1][1]["conversation_id"]
    with psycopg.connect(superuser_url) as conn:
        row = conn.execute("SELECT owner, id FROM conversations WHERE id = %s", (conversation,)).fetchone()
    assert row is not None
    asker = Caller(tenant=chatbot.tenants["globex"], actor=row[0], kind=CallerKind.API_KEY)
    with pytest.raises(NotFound):
        await recollect(without_policies, asker, row[1])


guards.install(globals())
