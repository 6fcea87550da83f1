"""The corrected runbook: nothing is found in it, the user's decisions are kept, and its remedies are known to the chatbot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from chatbot.core.answer_settings import AnswerSettings
from chatbot.web import admin, controls, orders, settings
from responder.config.policies import load_policies
from responder.core.defect import Comparison
from responder.core.effect import Effect, Role, Runs
from responder.core.remediation import SQL, Phase, Request
from responder.core.runbook import Action, Runbook
from responder.runbooks.library import read_each_rules
from responder.runbooks.lint import lint
from responder.runbooks.lint.subject import Subject
from responder.runbooks.reader import read_runbook

ROOT = Path(__file__).parents[2]
OURS = read_runbook(ROOT / "runbooks" / "bitb-chatbot.md")
GIVEN = read_runbook(ROOT / "responder" / "tests" / "runbook-as-given.md")
POLICIES = load_policies(ROOT / "policies", {})
ROUTES = [
    route
    for module in (admin, controls, orders, settings)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]


def _subject() -> Subject:
    files, unreadable = read_each_rules(sorted((ROOT / "rules").glob("*.rules.yml")))
    assert unreadable == ()
    return Subject(
        runbooks=(OURS,),
        files=files,
        bound=POLICIES.bindings.declared(),
        asked=POLICIES.bindings.asked(),
        people=frozenset({*POLICIES.on_call.roles, *POLICIES.on_call.people}),
    )


def test_check_finds_nothing_in_it() -> None:
    """With the project's own rules and policies, and nothing silenced."""
    report = lint(_subject(), today=datetime.now(UTC).date())
    assert report.defects == ()
    assert report.silenced == 0
    assert report.compared[Comparison.DISAGREE] == 0
    assert report.compared[Comparison.AGREE] >= 16


def test_what_the_user_decided_is_kept() -> None:
    """The eight alerts in their order with names, severities, thresholds and anchors; the process, and every contact."""

    def decided(runbook: Runbook) -> list[tuple[object, ...]]:
        return [
            (e.names, e.title, e.slug, e.severity, e.threshold and e.threshold.raw) for e in runbook.alerts
        ]

    assert len(OURS.alerts) == 8
    assert decided(OURS) == decided(GIVEN)
    assert [(s.name, s.limit, s.applies_to) for s in OURS.process] == [
        (s.name, s.limit, s.applies_to) for s in GIVEN.process
    ]
    assert {(c.role, c.address) for c in GIVEN.contacts} <= {(c.role, c.address) for c in OURS.contacts}
    assert {
        link for link in re.findall(r"https://[\w./]+", GIVEN.text) if "bitb" in link or "status" in link
    } <= {*re.findall(r"https://[\w./]+", OURS.text)}
    assert [t.state for t in GIVEN.templates if t.state not in {t.state for t in OURS.templates}] == []


def test_each_alert_says_everything_that_is_needed_at_night() -> None:
    """Symptoms, steps that run by themselves, a remedy or what to do by hand, and who comes next."""
    bound = POLICIES.bindings.declared()
    for entry in OURS.alerts:
        assert entry.symptoms, entry.title
        assert entry.remediation, entry.title
        assert entry.escalation, entry.title
        decisions = [
            action.decision(Role.DIAGNOSIS, bound=bound) for step in entry.steps for action in step.actions
        ]
        assert decisions, entry.title
        assert [d for d in decisions if d.runs is not Runs.AUTO] == [], entry.title


def _remedies() -> Iterator[tuple[str, Action]]:
    for entry in OURS.alerts:
        for group in entry.remediation:
            for action in group.actions:
                yield f"{entry.title}: {group.label} line {action.line}", action


def _requests() -> list[tuple[str, Request]]:
    return [
        (name, request)
        for name, action in _remedies()
        for request in action.requests
        if request.method != SQL
    ]


def test_every_remedy_can_be_run_behind_approval() -> None:
    """Preview, run, verify with something to expect; undo, or words that say there is none."""
    bound, asked = POLICIES.bindings.declared(), POLICIES.bindings.asked()
    found = list(_remedies())
    assert len(found) >= 10
    for name, action in found:
        phases = {request.phase for request in action.requests}
        assert {Phase.PREVIEW, Phase.RUN, Phase.VERIFY} <= phases, name
        assert any(request.expects for request in action.requests if request.phase is Phase.VERIFY), name
        assert action.decision(Role.REMEDIATION, bound=bound, asked=asked).runs is Runs.APPROVAL, name
        assert {request.method for request in action.requests} <= {
            "GET",
            SQL,
            *POLICIES.remediation.methods,
        }, name
        previews = [
            s for r, s in zip(action.requests, action.statements, strict=True) if r.phase is Phase.PREVIEW
        ]
        assert {statement.effect for statement in previews} == {Effect.READ}, name


@pytest.mark.parametrize(
    ("name", "request_"), _requests(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_chatbot_knows_the_request(name: str, request_: Request) -> None:
    """A route with that method takes the path, and its model the body."""
    path = request_.url.removeprefix("{{chatbot}}")
    assert path.startswith("/api/admin/")
    route = next(
        (r for r in ROUTES if request_.method in (r.methods or ()) and r.path_regex.fullmatch(path)), None
    )
    assert route is not None, f"{name}: {request_.method} {path}"
    models = [
        field.field_info.annotation
        for field in route.dependant.body_params
        if isinstance(field.field_info.annotation, type)
        and issubclass(field.field_info.annotation, BaseModel)
    ]
    assert bool(models) is (request_.body is not None)
    for model in models:
        model.model_validate(json.loads(request_.body or ""))


def test_what_is_set_and_expected_are_settings_of_the_chatbot() -> None:
    """`in_force.NAME` of a verification is a name that the answer has."""
    names = {
        expect.field.partition(".")[2]
        for _, request in _requests()
        for expect in request.expects
        if expect.field.startswith("in_force.")
    }
    assert names
    assert names <= {*AnswerSettings.__dataclass_fields__}
