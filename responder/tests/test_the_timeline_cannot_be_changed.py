"""The timeline is append-only, and its chain shows what was changed behind the program's back."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from house import House
from responder.core.incident import IncidentId
from responder.core.timeline import first_break
from responder.store import timeline


@pytest.mark.parametrize(
    "statement", ["UPDATE timeline SET text = 'x'", "DELETE FROM timeline", "TRUNCATE timeline"]
)
async def test_the_database_refuses_to_change_the_timeline(house: House, statement: str) -> None:
    """Not even the owner of the table changes an entry."""
    await house.fire()
    await house.work()
    with (
        psycopg.connect(house.database_url) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        conn.execute(statement)


async def test_a_changed_entry_breaks_the_chain(house: House) -> None:
    """Any change, removal or exchange of entries is found, and the first place is named."""
    await house.fire()
    await house.work()
    async with house.outside.database.transaction() as conn:
        entries = await timeline.entries(conn, IncidentId(1))
    assert first_break(entries) is None
    changed = [*entries[:2], replace(entries[2], text="nothing happened"), *entries[3:]]
    assert first_break(changed) == changed[2]
    assert first_break([*entries[:2], *entries[3:]]) == entries[3]
    assert first_break([entries[1], entries[0], *entries[2:]]) == entries[1]
