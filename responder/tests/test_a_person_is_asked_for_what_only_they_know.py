"""A remedy asks the person who approves it for a value that neither a policy nor the alert has; it runs with exactly that."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest

from house import ADMIN_TOKEN, ROOT, House
from responder.config.policies import load_policies
from responder.core.ask import ANSWER_LIMIT, Ask
from responder.core.binding import REDACTED, Binding, Bindings
from responder.core.effect import Role, Runs
from responder.core.remediation import approval_digest
from responder.errors import ConfigError
from responder.runbooks.explain import explain_text
from responder.runbooks.lint.placeholders import check
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import parse_runbook

RUNBOOK = """# Runbook

## Attack

**Alert:** `Attack`
**Severity:** P0

### Investigation Steps

1. **Whether it is known**
   ```http
   GET {{chatbot}}/api/admin/blocks/{{suspect_ip}}
   ```

### Remediation

**Immediate:** block the address.

```http
### Preview
GET {{chatbot}}/api/admin/blocks/{{suspect_ip}}
Authorization: Bearer {{chatbot_admin_token}}

### Run
POST {{chatbot}}/api/admin/blocks
Authorization: Bearer {{chatbot_admin_token}}
Content-Type: application/json

{"ip": "{{suspect_ip}}", "seconds": 3600, "reason": "{{why}}"}

### Verify
# expect blocked = true
GET {{chatbot}}/api/admin/blocks/{{suspect_ip}}
Authorization: Bearer {{chatbot_admin_token}}

### Undo
DELETE {{chatbot}}/api/admin/blocks/{{suspect_ip}}
Authorization: Bearer {{chatbot_admin_token}}
```

**Short-term:** switch a flag.

```http
### Run
PUT {{chatbot}}/api/admin/flags/rerank
Authorization: Bearer {{chatbot_admin_token}}
Content-Type: application/json

{"enabled": false}
```
"""
ASKS = """
[ask.suspect_ip]
prompt = "The address to block"
pattern = '[0-9]{1,3}(\\.[0-9]{1,3}){3}'

[ask.why]
prompt = "Why"
pattern = '.+'
"""
GIVEN = {"suspect_ip": "203.0.113.9", "why": "guesses passwords"}
# What would be another request, another field or another line, were it pasted.
HOSTILE = [
    'x", "force": true, "y": "',
    "../../flags/rerank",
    "{{chatbot_admin_token}}",
    "\\",
    "%2e%2e/%0d%0a?force=true#",
    "ä 'ö' ☃",
]


@pytest.fixture
async def house(responder_database: str, tmp_path: Path) -> AsyncGenerator[House]:
    runbook = tmp_path / "attack.md"
    runbook.write_text(RUNBOOK)
    async with House(responder_database, tmp_path, runbook=runbook, bindings=ASKS) as opened:
        yield opened


async def remedies(house: House) -> list[dict[str, Any]]:
    return (await house.incident())["remediations"]


async def opened(house: House, **labels: str) -> str:
    """An acknowledged incident; the path of the remedy that asks."""
    await house.fire("Attack", **labels)
    await house.work()
    await house.press(house.world.pages[0]["ack_url"])
    return f"/api/incidents/INC-1/remediations/{(await remedies(house))[0]['id']}"


async def previewed(house: House, path: str, inputs: dict[str, str]) -> dict[str, Any]:
    status, body = await house.as_person("alice", "POST", f"{path}/preview", inputs=inputs)
    assert status == 202, body
    await house.work()
    return (await remedies(house))[0]


async def approved(house: House, path: str, digest: str) -> int:
    status, _ = await house.as_person("alice", "POST", f"{path}/approve", digest=digest)
    await house.work()
    return status


async def test_the_person_gives_the_address_and_it_is_blocked(house: House) -> None:
    """Alice is asked, answers, sees what would be sent, approves; the server gets exactly that, and can be undone."""
    path = await opened(house)
    asks = (await remedies(house))[0]["asks"]
    assert [ask["name"] for ask in asks] == ["suspect_ip", "why"]
    assert asks[0]["prompt"] == "The address to block"
    seen = await previewed(house, path, GIVEN)
    assert seen["state"] == "previewed"
    assert seen["inputs"] == GIVEN
    assert '"ip": "203.0.113.9"' in seen["preview"]["would_run"][0]
    assert house.world.blocks == {}
    assert await approved(house, path, seen["digest"]) == 202
    assert house.world.blocks == {
        "203.0.113.9": {"ip": "203.0.113.9", "seconds": 3600, "reason": "guesses passwords"}
    }
    assert (await remedies(house))[0]["state"] == "verified"
    assert any("Alice approves" in text and "suspect_ip = 203.0.113.9" in text for text in await house.told())
    await house.as_person("alice", "POST", f"{path}/undo")
    await house.work()
    assert house.world.blocks == {}


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "'suspect_ip' is not given: The address to block."),
        ({"suspect_ip": "203.0.113.9"}, "'why' is not given"),
        ({**GIVEN, "chatbot": "http://127.0.0.1:1"}, "'chatbot' is not asked for by this remedy"),
        ({**GIVEN, "suspect_ip": '1.2.3.4", "x": "'}, "it must match [0-9]{1,3}"),
        ({**GIVEN, "suspect_ip": "../../admin"}, "'../../admin'; it must match"),
        ({**GIVEN, "suspect_ip": "1.2.3.4\n"}, r"'1.2.3.4\n', which holds a line break"),
        ({**GIVEN, "why": "a\r\nX-Forwarded-For: ::1"}, "give one line of text"),
        ({**GIVEN, "why": "a\u2028b"}, "give one line of text"),
        ({**GIVEN, "why": "x" * (ANSWER_LIMIT + 1)}, f"has {ANSWER_LIMIT + 1} characters; give at most"),
    ],
)  # fmt: skip
async def test_what_is_not_an_answer_is_refused(house: House, inputs: dict[str, str], told: str) -> None:
    """Missing, too much, too long, not the pattern, more than a line: it is said what is wrong, and nothing begins."""
    path = await opened(house)
    status, body = await house.as_person("alice", "POST", f"{path}/preview", inputs=inputs)
    assert status == 400
    assert told in body["detail"]
    assert "Nothing was changed." in body["detail"]
    await house.work()
    assert (await remedies(house))[0]["state"] == "offered"
    assert house.world.asked_of_blocks == []


async def test_a_remedy_that_asks_nothing_takes_nothing(house: House) -> None:
    """The other remedy is previewed without a word, and not with one."""
    await opened(house)
    other = f"/api/incidents/INC-1/remediations/{(await remedies(house))[1]['id']}"
    status, body = await house.as_person("alice", "POST", f"{other}/preview", inputs=GIVEN)
    assert status == 400
    assert "it asks for nothing" in body["detail"]
    assert (await house.as_person("alice", "POST", f"{other}/preview"))[0] == 202


async def test_whatever_a_person_pastes_is_data(house: House) -> None:
    """Where the pattern lets it pass, it is one text of the body, as it was typed: no field, no path, no secret."""
    path = await opened(house)
    for hostile in HOSTILE:
        house.world.asked_of_blocks.clear()
        seen = await previewed(house, path, {**GIVEN, "why": hostile})
        assert await approved(house, path, seen["digest"]) == 202
        (sent,) = [body for method, _, body in house.world.asked_of_blocks if method == "POST"]
        assert json.loads(sent) == {"ip": "203.0.113.9", "seconds": 3600, "reason": hostile}
        assert seen["preview"]["would_run"][0].endswith(sent)
        await house.as_person("alice", "POST", f"{path}/undo")
        await house.work()


async def test_another_answer_is_another_approval(house: House) -> None:
    """Who approves the first address does not approve the second: the digest tells them apart."""
    path = await opened(house)
    first = await previewed(house, path, GIVEN)
    second = await previewed(house, path, {**GIVEN, "suspect_ip": "203.0.113.10"})
    assert first["digest"] != second["digest"]
    assert await approved(house, path, first["digest"]) == 409
    assert house.world.blocks == {}
    assert await approved(house, path, second["digest"]) == 202
    assert list(house.world.blocks) == ["203.0.113.10"]


def test_the_digest_is_of_the_answers_too() -> None:
    """Also of one that only the verification or the undo needs: what would be sent first looks the same."""
    seen: dict[str, Any] = {"text": "block", "runs": ["POST /blocks"], "now": []}
    digests = {
        approval_digest(inputs={"ip": ip}, **seen) for ip in ("203.0.113.9", "203.0.113.10", "203.0.113.9")
    }
    assert len(digests) == 2


def test_an_answer_overrules_no_policy_and_a_secret_is_hidden() -> None:
    """Neither a label nor an answer takes the place of what a policy says; what people see of a request holds no secret."""
    policies = Bindings(
        by_name={
            "chatbot": Binding(name="chatbot", value="http://127.0.0.1:1", secret=False),
            "token": Binding(name="token", value=ADMIN_TOKEN, secret=True),
        },
        hosts={},
        asks={"ip": Ask(name="ip", prompt="Which", pattern=re.compile(".+"))},
    )
    labelled = policies.for_alert({"ip": "198.51.100.1"})
    assert "ip" not in labelled.bound()
    bound = labelled.with_answers({"ip": "a/b", "chatbot": "http://evil.example", "token": "guessed"})
    assert bound.url("{{chatbot}}/{{ip}}?{{token}}") == f"http://127.0.0.1:1/a%2Fb?{ADMIN_TOKEN}"
    assert bound.hidden().url("{{chatbot}}/{{ip}}?{{token}}") == f"http://127.0.0.1:1/a%2Fb?{REDACTED}"
    assert bound.hidden().statement("SELECT {{ip}}, {{token}}") == f"SELECT 'a/b', '{REDACTED}'"


async def change_row(house: House, inputs: dict[str, str]) -> None:
    async with house.outside.database.transaction() as conn:
        await conn.execute(
            "UPDATE remediations SET inputs = %s::jsonb WHERE position = 0", (json.dumps(inputs),)
        )


async def test_without_its_answers_nothing_is_approved(house: House) -> None:
    """A preview that lost its answers, or has one that nobody would take, cannot be approved."""
    path = await opened(house)
    seen = await previewed(house, path, GIVEN)
    await change_row(house, {})
    assert await approved(house, path, seen["digest"]) == 409
    await change_row(house, {**GIVEN, "suspect_ip": "::1"})
    status, body = await house.as_person("alice", "POST", f"{path}/approve", digest=seen["digest"])
    assert status == 409
    assert "Look again, and answer it." in body["detail"]
    assert house.world.blocks == {}


async def test_what_runs_is_what_was_approved(house: House) -> None:
    """An answer that is another one between approval and run runs nothing; the remedy is offered anew."""
    path = await opened(house)
    seen = await previewed(house, path, GIVEN)
    await house.as_person("alice", "POST", f"{path}/approve", digest=seen["digest"])
    await change_row(house, {**GIVEN, "suspect_ip": "203.0.113.10"})
    await house.work()
    assert house.world.blocks == {}
    assert (await remedies(house))[0]["state"] == "offered"
    assert any("is not what was approved; nothing was changed" in text for text in await house.told())


async def test_a_secret_is_no_answer(house: House) -> None:
    """A token pasted by mistake is neither sent nor kept nor told."""
    path = await opened(house)
    status, _ = await house.as_person(
        "alice", "POST", f"{path}/preview", inputs={**GIVEN, "why": f"t={ADMIN_TOKEN}"}
    )
    assert status == 202  # only the worker knows what is secret
    await house.work()
    remedy = (await remedies(house))[0]
    assert (remedy["state"], remedy["inputs"], remedy["preview"]) == ("offered", {}, None)
    assert house.world.asked_of_blocks == []
    told = await house.told()
    assert any("the answer to why holds a secret" in text for text in told)
    assert not any(ADMIN_TOKEN in text for text in told)


async def test_no_alert_answers_for_the_person(house: House) -> None:
    """A label of the asked name, which an attacker may have chosen, gives no value: the person is asked all the same."""
    path = await opened(house, suspect_ip="198.51.100.1")
    status, _ = await house.as_person("alice", "POST", f"{path}/preview", inputs={"why": "x"})
    assert status == 400
    seen = await previewed(house, path, GIVEN)
    assert await approved(house, path, seen["digest"]) == 202
    assert list(house.world.blocks) == ["203.0.113.9"]


async def test_a_step_that_asks_never_runs_by_itself(house: House) -> None:
    """There is nobody to ask when the alert arrives: the step says so, whatever the alert brings."""
    await opened(house, suspect_ip="198.51.100.1")
    (step,) = (await house.incident())["evidence"]
    assert step["outcome"] == "not_run"
    assert "suspect_ip is asked of the person who approves a remedy" in step["reason"]
    assert house.world.asked_of_blocks == []


def test_explain_and_check_know_what_is_asked() -> None:
    """The remedy waits for approval and asks; in the diagnosis the same name is unbound, and both say why."""
    book = parse_runbook(RUNBOOK, path="attack.md")
    bound, asked = frozenset({"chatbot", "chatbot_admin_token"}), frozenset({"suspect_ip", "why"})
    words = " ".join(explain_text([book], bound=bound, asked=asked).split())
    assert "(a remedy waits for a person, who is asked for suspect_ip, why)" in words
    assert (
        "(suspect_ip is asked of the person who approves a remedy; nobody is asked before a step runs)"
        in words
    )
    (defect,) = check(Subject(runbooks=(book,), bound=bound, asked=asked))
    assert defect.line == 12
    assert "a step that runs by itself asks nobody" in defect.message
    (remedy, _) = [action for group in book.alerts[0].remediation for action in group.actions]
    assert remedy.decision(Role.REMEDIATION, bound=bound, asked=asked).runs is Runs.APPROVAL
    assert remedy.decision(Role.REMEDIATION, bound=bound).runs is Runs.NEVER


@pytest.mark.parametrize("form", ["<suspect_ip>", "$suspect_ip", "{suspect_ip}", "{{.suspect_ip}}"])
def test_only_where_an_answer_is_put_in_it_is_asked(form: str) -> None:
    """Answers go where `{{name}}` stands; another form of the name stays without a value, and is told."""
    text = RUNBOOK.replace("{{suspect_ip}}", form)
    book = parse_runbook(text, path="attack.md")
    asked = frozenset({"suspect_ip", "why"})
    remedy = book.alerts[0].remediation[0].actions[0]
    decision = remedy.decision(
        Role.REMEDIATION, bound=frozenset({"chatbot", "chatbot_admin_token"}), asked=asked
    )
    assert decision.runs is Runs.NEVER
    assert form in decision.reason


@pytest.mark.parametrize(
    ("asks", "told"),
    [
        ('[ask.x]\nprompt = "Which"', "'pattern' is missing"),
        ('[ask.x]\nprompt = "Which"\npattern = "[a"', "a regular expression of Python (unterminated character set"),
        ('[ask.x]\nprompt = "Which"\npattern = ".*"', "the empty text does not match"),
        ('[ask.x]\nprompt = ""\npattern = "a"', "'prompt' is ''"),
        ('[ask.x]\nprompt = "Which"\npattern = "a"\ndefault = "b"', "'default' is not known here"),
        ('[ask."labels.x"]\nprompt = "Which"\npattern = "a"', "letters, digits and '_'"),
        ('[ask.chatbot]\nprompt = "Which"\npattern = "a"', "'chatbot' has a value in the same file already"),
    ],
)  # fmt: skip
def test_a_wrong_ask_is_a_fault_of_the_policies(tmp_path: Path, asks: str, told: str) -> None:
    """The program does not start with a question that guards nothing: file, key and remedy are named."""
    for file in (ROOT / "policies").glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    with (tmp_path / "bindings.toml").open("a") as bindings:
        bindings.write(f"\n{asks}\n")
    with pytest.raises(ConfigError) as caught:
        load_policies(tmp_path, {})
    assert told in str(caught.value)
    assert "bindings.toml [ask] [" in str(caught.value)


@pytest.mark.parametrize("ip", ["203.0.113.9", "203.0.113.0/24", "2001:db8::5"])
async def test_the_projects_own_runbook_blocks_an_attacker(
    responder_database: str, tmp_path: Path, ip: str
) -> None:
    """Dan, who looks after security, names the address; only that is blocked, and its path is one part of the address."""
    async with House(responder_database, tmp_path) as house:
        await house.fire("SuspiciousAuthActivity", kind="security")
        await house.work()
        await house.as_person("dan", "POST", "/api/incidents/INC-1/acknowledge")
        remedy = next(item for item in await remedies(house) if item["asks"])
        assert remedy["label"].startswith("Block the address that stands out")
        path = f"/api/incidents/INC-1/remediations/{remedy['id']}"
        for wrong in ("..", "everybody", "1.2.3", "1.2.3.4 or all", "http://[::1]/"):
            status, _ = await house.as_person("dan", "POST", f"{path}/preview", inputs={"attacker_ip": wrong})
            assert status == 400, wrong
        await house.as_person("dan", "POST", f"{path}/preview", inputs={"attacker_ip": ip})
        await house.work()
        seen = next(item for item in await remedies(house) if item["asks"])
        await house.as_person("dan", "POST", f"{path}/approve", digest=seen["digest"])
        await house.work()
        assert list(house.world.blocks) == [ip]
        looked = {raw for method, raw, _ in house.world.asked_of_blocks if method == "GET"}
        assert {(unquote(raw), raw.count("/")) for raw in looked} == {(f"/api/admin/blocks/{ip}", 4)}
        assert next(item for item in await remedies(house) if item["asks"])["state"] == "verified"


SQL_RUNBOOK = """# Runbook

## Attack

**Alert:** `Attack`
**Severity:** P0

### Remediation

**Immediate:** end one session.

```sql
-- Preview
SELECT pid, usename FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid = {{session_pid}};

-- Run
SELECT pid, pg_terminate_backend(pid) AS ended FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND pid = {{session_pid}};

-- Verify
-- expect count = 0
SELECT count(*) AS count FROM pg_stat_activity WHERE pid = {{session_pid}};
```
"""
SQL_ASK = """
[ask.session_pid]
prompt = "The process id of the session"
pattern = ".+"
"""


async def test_in_sql_an_answer_is_a_parameter(
    responder_database: str, make_database: Callable[..., Any], tmp_path: Path
) -> None:
    """Words that would widen the condition are no number, and refused by the database; a number ends that session alone."""
    runbook = tmp_path / "sessions.md"
    runbook.write_text(SQL_RUNBOOK)
    with make_database() as target, psycopg.connect(target) as leaked, psycopg.connect(target) as well:
        async with House(responder_database, tmp_path, target, runbook=runbook, bindings=SQL_ASK) as house:
            path = await opened(house)
            widened = await previewed(house, path, {"session_pid": f"{leaked.info.backend_pid} OR true"})
            assert widened["state"] == "offered"
            assert any("invalid input syntax" in text for text in await house.told())
            seen = await previewed(house, path, {"session_pid": str(leaked.info.backend_pid)})
            assert f"AND pid = '{leaked.info.backend_pid}'" in seen["preview"]["would_run"][0]
            assert await approved(house, path, seen["digest"]) == 202
            assert (await remedies(house))[0]["state"] == "verified"
        with pytest.raises(psycopg.OperationalError):
            leaked.execute("SELECT 1")
        assert well.execute("SELECT 1").fetchone() == (1,)
