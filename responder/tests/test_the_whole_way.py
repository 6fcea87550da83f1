"""From an alert to a post-mortem: the whole way, on a real database, with vendors at the wire."""

from __future__ import annotations

import json

from house import House

ERROR_LINE = json.dumps({"level": "ERROR", "event": "rerank_failed", "route": "/api/chat"})


async def break_reranker(house: House) -> None:
    house.world.samples = {
        "/ sum(": [({}, 0.93)],
        "sum by (route, status)": [({"route": "/api/chat", "status": "502"}, 18.6)],
    }
    house.error_log.write_text(f"{ERROR_LINE}\n" * 40)
    await house.fire()
    await house.work()


async def mend(house: House) -> None:
    house.world.samples = {"/ sum(": [({}, 0.0)]}


async def test_an_alert_becomes_evidence_a_page_a_cure_and_a_post_mortem(house: House) -> None:
    """Alice is paged with what was found, presses the button, approves the cure; the rest happens by itself."""
    await break_reranker(house)
    page = house.world.pages[0]
    assert page["incident"] == "INC-1"
    assert page["person"] == "alice"
    assert any("rerank_failed" in claim for claim in page["findings"])
    assert any("past the runbook's >5%" in item["verdict"] for item in page["evidence"])

    assert (await house.press(page["ack_url"])).status == 200
    incident = await house.incident()
    assert incident["incident"]["status"] == "acknowledged"
    assert incident["incident"]["commander"] == "alice"

    remedy = next(item for item in incident["remediations"] if item["runnable"])
    path = f"/api/incidents/INC-1/remediations/{remedy['id']}"
    status, _ = await house.as_person("alice", "POST", f"{path}/preview")
    assert status == 202
    await house.work()
    previewed = next(i for i in (await house.incident())["remediations"] if i["id"] == remedy["id"])
    assert previewed["state"] == "previewed"
    assert '"enabled": true' in previewed["preview"]["now"][0]["text"]

    status, body = await house.as_person("alice", "POST", f"{path}/approve", digest=previewed["digest"])
    assert status == 202, body
    await house.work()
    assert house.world.flags["rerank"] is False
    assert len(house.world.changes) == 1
    assert (await house.incident())["incident"]["status"] == "mitigated"

    await mend(house)
    await house.quiet()
    await house.work()
    await house.fast_forward(minutes=2)
    assert (await house.incident())["incident"]["status"] == "resolved"
    draft = (house.folder / "postmortems" / "INC-1.md").read_text()
    assert "rerank_failed" in draft
    assert "To be written by people" in draft
    status_page = (house.folder / "status" / "current" / "index.html").read_text()
    assert "All services are operational" in status_page

    kinds = await house.kinds()
    in_order = [
        "alert_received", "incident_opened", "evidence_recorded", "finding_recorded", "page_sent", "acknowledged",
        "remediation_previewed", "remediation_approved", "remediation_run", "remediation_verified", "mitigated",
        "alert_resolved", "incident_resolved", "postmortem_written",
    ]  # fmt: skip
    positions = [kinds.index(kind) for kind in in_order]
    assert positions == sorted(positions)
    assert kinds.count("evidence_recorded") == 7
    assert kinds.count("status_published") == 4
