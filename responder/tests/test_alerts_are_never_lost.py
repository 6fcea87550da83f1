"""What is accepted is stored, what is not stored is not accepted, and repeats change nothing."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from house import START, House


async def count(house: House, table: str) -> int:
    async with house.outside.database.transaction() as conn:
        cursor = await conn.execute(sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table)))
        return (await cursor.fetchall())[0]["n"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{not json", "Invalid JSON"),
        (b"[]", "version 4"),
        (b'{"version": "3", "alerts": []}', "version"),
        (b'{"version": "4", "alerts": [{}]}', "alerts.0"),
        (b'{"version": "4", "alerts": "none"}', "alerts"),
        (b"\xff\xfe", "the body"),
    ],
)
async def test_a_broken_delivery_is_refused_with_the_reason_and_nothing_is_stored(
    house: House, body: bytes, says: str
) -> None:
    """400, a problem document that says where the body is wrong, and an empty table."""
    headers = {"Authorization": f"Bearer {house.settings.alertmanager_token}"}
    async with house.session.post(f"{house.url}/api/alerts", data=body, headers=headers) as response:
        problem = await response.json()
    assert response.status == 400
    assert says in problem["detail"]
    assert "Nothing was stored" in problem["detail"]
    assert await count(house, "alerts") == 0


async def test_one_bad_alert_refuses_the_whole_delivery(house: House) -> None:
    """A delivery is stored whole or not at all: Alertmanager knows no half."""
    bad = house.alert("HighErrorRate", "firing")
    del bad["labels"]["alertname"]
    response = await house.deliver([house.alert("HighErrorRate", "firing"), bad])
    assert response.status == 400
    assert await count(house, "alerts") == 0


async def test_a_delivery_without_the_token_is_refused(house: House) -> None:
    """401 for none and for a wrong one, before the body is read."""
    for token in ("", "wrong-token-of-some-length"):
        response = await house.post("/api/alerts", b"{}", token=token)
        assert response.status == 401
    assert await count(house, "alerts") == 0


async def test_a_delivery_that_is_too_large_is_refused(house: House) -> None:
    """413, and nothing stored."""
    response = await house.post("/api/alerts", b" " * (5 * 1024 * 1024))
    assert response.status == 413
    assert await count(house, "alerts") == 0


async def test_without_the_database_nothing_is_acknowledged(house: House, postgres_url: str) -> None:
    """503, which Alertmanager tries again; when the database is back, the same delivery is taken."""
    name = sql.Identifier(str(conninfo_to_dict(house.database_url)["dbname"]))
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (name.as_string(None).strip('"'),),
        )
        response = await house.fire()
        assert response.status == 503
        assert response.headers["Retry-After"]
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    assert (await house.fire()).status == 200
    assert await count(house, "alerts") == 1


async def test_the_same_alert_delivered_again_opens_nothing_new(house: House) -> None:
    """Alertmanager repeats itself by design: one incident, one page for each channel."""
    for _ in range(3):
        await house.fire()
        await house.work()
    assert await count(house, "incidents") == 1
    assert len(house.world.pages) == 1


async def test_two_tiers_of_one_alert_are_one_incident(house: House) -> None:
    """HighErrorRate fires as "hard-down", later as "contract": people work on one thing."""
    await house.fire(tier="hard-down")
    await house.work()
    await house.fire(tier="contract")
    await house.work()
    assert await count(house, "incidents") == 1
    assert (await house.kinds()).count("alert_received") == 2


async def test_a_late_firing_does_not_wake_what_is_resolved(house: House) -> None:
    """A delivery that was overtaken on its way is old news."""
    await house.fire()
    await house.quiet()
    await house.fire()
    await house.work()
    async with house.outside.database.transaction() as conn:
        cursor = await conn.execute("SELECT status FROM alerts")
        assert [row["status"] for row in await cursor.fetchall()] == ["resolved"]


async def test_the_watchdog_is_no_incident(house: House) -> None:
    """An alert that always fires says that the chain works; nobody is woken by it."""
    await house.fire("Watchdog")
    await house.work()
    assert await count(house, "incidents") == 0
    assert house.world.pages == []


async def test_an_alert_that_no_runbook_names_still_pages(house: House) -> None:
    """Unknown is no reason to be silent: the page goes out at once, and says that there is no entry."""
    alert = house.alert("DiskFull", "firing")
    alert["annotations"] = {"summary": "disk is 99% full"}
    await house.deliver([alert])
    await house.work()
    assert house.world.pages[0]["summary"] == "disk is 99% full"
    assert "no runbook entry names this alert" in (await house.told())[1]


async def test_an_alert_of_unknown_weight_is_taken_as_the_heaviest(house: House) -> None:
    """Without a severity in rule or runbook it is P0: better one page too many."""
    alert = house.alert("DiskFull", "firing")
    del alert["labels"]["severity"]
    alert["annotations"] = {}
    await house.deliver([alert])
    await house.work()
    assert (await house.incident())["incident"]["severity"] == "P0"


async def test_the_runbooks_severity_counts_where_the_rule_says_none(house: House) -> None:
    """The words of the entry are the second source."""
    await house.fire(severity="critical")
    await house.work()
    assert (await house.incident())["incident"]["severity"] == "P0"


async def test_the_incident_is_open_before_anything_outside_answers(house: House) -> None:
    """The opening, its steps, its deadlines and its first page are one transaction of our own database."""
    await house.fire()
    async with house.outside.database.transaction() as conn:
        cursor = await conn.execute("SELECT due_at FROM alerts")
        assert (await cursor.fetchall())[0]["due_at"] == START
    await house.work()
    deadlines = (await house.incident())["deadlines"]
    assert [d["milestone"] for d in deadlines] == ["acknowledge", "assess", "mitigate", "resolve"]
    assert deadlines[0]["limit"] == timedelta(minutes=5).total_seconds()
    assert json.dumps(deadlines)
