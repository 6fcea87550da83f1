"""Nothing changes the world but what a person saw and approved, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from psycopg import sql

from house import ADMIN_TOKEN, House
from responder.core.remediation import State
from responder.errors import SourceRefused


async def opened(house: House) -> tuple[str, dict[str, Any]]:
    """An acknowledged incident; the path and the JSON of its remedy."""
    await house.fire()
    await house.work()
    await house.press(house.world.pages[0]["ack_url"])
    remedy = next(item for item in (await house.incident())["remediations"] if item["runnable"])
    return f"/api/incidents/INC-1/remediations/{remedy['id']}", remedy


async def previewed(house: House) -> tuple[str, dict[str, Any]]:
    path, remedy = await opened(house)
    await house.as_person("alice", "POST", f"{path}/preview")
    await house.work()
    return path, await remedy_now(house, remedy["id"])


async def remedy_now(house: House, remedy: int) -> dict[str, Any]:
    return next(item for item in (await house.incident())["remediations"] if item["id"] == remedy)


async def test_without_a_preview_there_is_no_approval(house: House) -> None:
    """What nobody has looked at cannot be approved."""
    path, _ = await opened(house)
    status, body = await house.as_person("alice", "POST", f"{path}/approve", digest="0" * 64)
    assert status == 409
    assert "Possible now: preview" in body["detail"]
    await house.work()
    assert house.world.changes == []


async def test_what_was_not_seen_is_not_approved(house: House) -> None:
    """The digest is that of the preview a person saw; any other is refused."""
    path, remedy = await previewed(house)
    wrong = ("0" if remedy["digest"][0] != "0" else "1") + remedy["digest"][1:]
    status, body = await house.as_person("alice", "POST", f"{path}/approve", digest=wrong)
    assert status == 409
    assert "not what was previewed last" in body["detail"]
    await house.work()
    assert house.world.changes == []


async def test_an_old_preview_is_not_approved(house: House) -> None:
    """After five minutes the world may be another one."""
    path, remedy = await previewed(house)
    house.clock.move(timedelta(minutes=5))
    status, body = await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    assert status == 409
    assert "too old" in body["detail"]


async def test_an_approval_that_comes_too_late_to_run_does_not_run(house: House) -> None:
    """The worker was down for longer than the approval lasts: a person decides anew."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    await house.fast_forward(minutes=6)
    assert house.world.changes == []
    assert (await remedy_now(house, remedy["id"]))["state"] == "offered"
    assert any("ran out" in text for text in await house.told())


async def test_approved_twice_it_runs_once(house: House) -> None:
    """The second press is told that it is under way or done."""
    path, remedy = await previewed(house)
    answers = await asyncio.gather(
        *(
            house.as_person(name, "POST", f"{path}/approve", digest=remedy["digest"])
            for name in ("alice", "bob")
        )
    )
    assert sorted(status for status, _ in answers) == [202, 409]
    await house.work()
    assert len(house.world.changes) == 1


async def test_the_change_carries_a_key_and_the_secret_is_kept_nowhere(house: House) -> None:
    """The token goes to the target and to no table, no timeline, no page."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    await house.work()
    _, headers, body = house.world.changes[0]
    assert headers["Authorization"] == f"Bearer {ADMIN_TOKEN}"
    assert headers["Idempotency-Key"].startswith("remediation-")
    assert body == {"enabled": False}
    async with house.outside.database.transaction() as conn:
        cursor = await conn.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        for row in await cursor.fetchall():
            found = await conn.execute(
                sql.SQL("SELECT count(*) AS n FROM {} t WHERE t::text LIKE %s").format(
                    sql.Identifier(row["relname"])
                ),
                (f"%{ADMIN_TOKEN}%",),
            )
            assert (await found.fetchall())[0]["n"] == 0, row["relname"]


async def test_a_remedy_that_does_not_hold_is_not_called_done(house: House) -> None:
    """The target says 200 but the flag stays on: verification fails, and the incident is not mitigated."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    house.world.ignore_changes = True
    await house.work()
    assert (await remedy_now(house, remedy["id"]))["state"] == "failed"
    assert (await house.incident())["incident"]["status"] == "assessed"
    assert any("enabled is true, expected false" in text for text in await house.told())


async def test_a_refused_remedy_says_why_and_can_be_looked_at_again(house: House) -> None:
    """403 of the target ends the try; nothing is retried behind a person's back."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    house.world.change_status = 403
    await house.work()
    await house.fast_forward(minutes=1)
    assert len(house.world.changes) == 1
    assert any("refused with 403" in text for text in await house.told())
    status, _ = await house.as_person("alice", "POST", f"{path}/preview")
    assert status == 202


async def test_what_was_done_can_be_undone(house: House) -> None:
    """The runbook's Undo puts the flag back."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    await house.work()
    status, _ = await house.as_person("alice", "POST", f"{path}/undo")
    assert status == 202
    await house.work()
    assert house.world.flags["rerank"] is True
    assert (await remedy_now(house, remedy["id"]))["state"] == "undone"


async def test_words_cannot_be_run(house: House) -> None:
    """ "Add instances" is for a person: there is no button behind it."""
    await opened(house)
    words = next(item for item in (await house.incident())["remediations"] if not item["runnable"])
    path = f"/api/incidents/INC-1/remediations/{words['id']}"
    status, body = await house.as_person("alice", "POST", f"{path}/preview")
    assert status == 409
    assert "cannot be run from here" in body["detail"]


async def test_the_worker_dies_while_it_runs_and_a_put_is_repeated(house: House) -> None:
    """PUT is idempotent by HTTP's rules: under the same key, the next worker may finish what was begun."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    async with house.outside.database.transaction() as conn:
        await conn.execute(
            "UPDATE remediations SET state = 'running', lease_until = %s, attempt = attempt + 1 WHERE id = %s",
            (house.clock.now() + timedelta(seconds=60), remedy["id"]),
        )
    await house.work()
    assert house.world.changes == []
    await house.fast_forward(seconds=61)
    assert len(house.world.changes) == 1
    assert (await remedy_now(house, remedy["id"]))["state"] == "verified"


async def test_the_worker_dies_while_a_post_runs_and_a_person_decides(house: House) -> None:
    """A POST may have happened: it is not sent again, and the timeline says so."""
    path, remedy = await previewed(house)
    await house.as_person("alice", "POST", f"{path}/approve", digest=remedy["digest"])
    async with house.outside.database.transaction() as conn:
        await conn.execute(
            "UPDATE remediations SET state = 'running', due_at = %s,"
            " requests = replace(requests::text, '\"PUT\"', '\"POST\"')::jsonb WHERE id = %s",
            (house.clock.now(), remedy["id"]),
        )
    await house.work()
    assert house.world.changes == []
    assert (await remedy_now(house, remedy["id"]))["state"] == State.FAILED
    assert any("it may have happened" in text for text in await house.told())


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "https://example.com/", "http://127.0.0.1:1/", "file:///etc/passwd"],
)
async def test_only_allowed_origins_are_called(house: House, url: str) -> None:
    """Whatever a runbook says, the policy names whom the responder talks to."""
    with pytest.raises(SourceRefused, match="not allowed"):
        await house.outside.http.read(url, headers={}, timeout=timedelta(seconds=1))


async def test_only_allowed_methods_are_sent(house: House) -> None:
    """PATCH is not in the policy, so it is not sent."""
    with pytest.raises(SourceRefused, match="PATCH is not allowed"):
        await house.outside.http.send(
            "PATCH", house.world_url, headers={}, body=None, timeout=timedelta(seconds=1)
        )
