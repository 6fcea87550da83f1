"""What the alert says is put into the steps where the runbook asks for it, and stays inside of the place where it is put."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from house import ADMIN_TOKEN, House
from responder.core.binding import Binding, Bindings
from responder.errors import SourceRefused

RUNBOOK = """# Runbook

## Many Failures

**Alert:** `ManyFailures`
**Severity:** P0

### Investigation Steps

1. **How many of this tenant**
   ```promql
   sum(rate(http_requests_total{tenant="{{ $labels.tenant_id }}"}[5m]))
   ```
2. **Its health**
   ```http
   GET {{chatbot}}/api/health/{{part}}
   ```
3. **What nobody names**
   ```promql
   up{instance="{{instance_of_nobody}}"}
   ```

### Remediation

**Immediate:** switch it off for the tenant.

```http
### Run
PUT {{chatbot}}/api/admin/flags/{{flag}}
Authorization: Bearer {{chatbot_admin_token}}
Content-Type: application/json

{"enabled": false, "note": "{{tenant_id}}"}
```
"""
HOSTILE = 'acme"} or vector(1) #\n'


@pytest.fixture
async def house(responder_database: str, tmp_path: Path) -> Any:
    runbook = tmp_path / "failures.md"
    runbook.write_text(RUNBOOK)
    async with House(responder_database, tmp_path, runbook=runbook) as opened:
        yield opened


async def test_steps_are_run_with_the_labels(house: House) -> None:
    """The query asks for the tenant of the alert, the address names the part; what no label names is shown with the reason."""
    await house.fire("ManyFailures", tenant_id="acme", part="redis", flag="rerank")
    await house.work()
    assert 'sum(rate(http_requests_total{tenant="acme"}[5m]))' in house.world.queries
    evidence = (await house.incident())["evidence"]
    assert next(step["verdict"] for step in evidence if step["kind"] == "http").startswith("redis ok")
    reasons = [step["reason"] for step in evidence if step["outcome"] == "not_run"]
    assert len(reasons) == 1
    assert "instance_of_nobody" in reasons[0]
    assert "label" in reasons[0]


async def test_a_hostile_label_stays_where_it_is_put(house: House) -> None:
    """A quote, a slash or a line in a label ends no string, leads to no other address, begins no header."""
    elsewhere = "../admin/flags/rerank"
    house.world.health[elsewhere] = (
        503,
        {"status": "down"},
    )  # asked for as one part of the path, and not left
    await house.fire("ManyFailures", tenant_id=HOSTILE, part=elsewhere, flag="rerank")
    await house.work()
    asked = next(query for query in house.world.queries if "http_requests_total" in query)
    assert asked == r'sum(rate(http_requests_total{tenant="acme\"} or vector(1) #\n"}[5m]))'
    health = next(s for s in (await house.incident())["evidence"] if s["kind"] == "http")
    assert health["judgement"] == "bad"


async def test_a_remedy_shows_and_sends_the_labels(house: House) -> None:
    """The person sees the value in the preview; what is sent is one JSON text that holds it."""
    await house.fire("ManyFailures", tenant_id=HOSTILE, part="redis", flag="rerank")
    await house.work()
    await house.press(house.world.pages[0]["ack_url"])
    remedy = next(item for item in (await house.incident())["remediations"] if item["runnable"])
    path = f"/api/incidents/INC-1/remediations/{remedy['id']}"
    await house.as_person("alice", "POST", f"{path}/preview")
    await house.work()
    seen = next(i for i in (await house.incident())["remediations"] if i["id"] == remedy["id"])
    assert "/api/admin/flags/rerank" in seen["preview"]["would_run"][0]
    assert "acme" in seen["preview"]["would_run"][0]
    await house.as_person("alice", "POST", f"{path}/approve", digest=seen["digest"])
    await house.work()
    name, _, body = house.world.changes[0]
    assert (name, body) == ("rerank", {"enabled": False, "note": HOSTILE})


def test_an_alert_overrules_no_policy() -> None:
    """A label that is named as a policy's value, or as its secret, changes neither."""
    policies = Bindings(
        by_name={
            "chatbot": Binding(name="chatbot", value="http://127.0.0.1:1", secret=False),
            "token": Binding(name="token", value=ADMIN_TOKEN, secret=True),
            "unset": Binding(name="unset", value=None, secret=True),
        },
        hosts={},
    )
    bound = policies.for_alert({"chatbot": "http://evil.example", "token": "guessed", "unset": "guessed"})
    assert bound.url("{{chatbot}}/x") == "http://127.0.0.1:1/x"
    assert bound.header("Bearer {{token}}") == f"Bearer {ADMIN_TOKEN}"
    assert "unset" not in bound.bound()


def bound(value: str) -> Bindings:
    return Bindings(by_name={}, hosts={}).for_alert({"label": value})


@given(st.text())
def test_any_value_stays_in_its_place(value: str) -> None:
    """One part of a path, one text of a JSON body, one field of a form, one line of a header, whatever it is."""
    values = bound(value)
    try:
        path = values.url("http://h/a/{{label}}/b?c={{label}}")
        assert (path.count("/"), path.count("?"), path.count("#")) == (5, 1, 0)
        assert str(URL(path).path) == f"/a/{value}/b" or not value
    except SourceRefused:
        assert value in {".", ".."}
    assert json.loads(values.body('{"a": "\\"{{label}}", "b": 1}')) == {"a": f'"{value}', "b": 1}
    assert "\n" not in values.header("a {{label}}")
    form = values.body("a={{label}}&b=1", media_type="application/x-www-form-urlencoded; charset=utf-8")
    assert parse_qsl(form, keep_blank_values=True) == [("a", value), ("b", "1")]


@pytest.mark.parametrize("value", ["3", "-0.5", "1e9", "true", "null"])
def test_a_number_needs_no_quotes(value: str) -> None:
    """Where the runbook wants a number, a number is put in."""
    assert json.loads(bound(value).body('{"a": {{label}}}')) == {"a": json.loads(value)}


@pytest.mark.parametrize("value", ['1, "force": true', "1}", '"x"', "", "[1]", "01", "١", "1\n"])
def test_without_quotes_nothing_else_is_put_in(value: str) -> None:
    """What could be another field is refused, with what to do."""
    with pytest.raises(SourceRefused, match="put quotes around the placeholder"):
        bound(value).body('{"b": "x", "a": {{label}}}')


@pytest.mark.parametrize("value", [".", ".."])
def test_dots_lead_nowhere(value: str) -> None:
    """A part of the path that is only dots would be another path, so it is refused; elsewhere dots are as good as any."""
    with pytest.raises(SourceRefused, match="leads to another path"):
        bound(value).url("http://h/admin/blocks/{{label}}")
    with pytest.raises(SourceRefused, match="leads to another path"):
        bound(value).url("/admin/blocks/{{label}}?x=1")
    assert bound(value).url("/admin/blocks?ip={{label}}") == f"/admin/blocks?ip={value}"
    assert bound(value).url("/admin/blocks/x{{label}}") == f"/admin/blocks/x{value}"
