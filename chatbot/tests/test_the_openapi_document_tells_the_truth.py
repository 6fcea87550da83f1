"""What the OpenAPI document says is what is served: schemathesis sends what it allows and what it forbids, to every operation.

A few requests each; `make prove` sends many more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chatbot_house import ADMIN_TOKEN, Chatbot, served, settings_for

MEMBER = {"email": "alice@acme.example", "password": "a lantern under seven bridges"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What closes the product for those that come after it comes last.
LAST = ("/api/admin/flags", "/api/admin/maintenance", "/api/admin/drain")


@dataclass(frozen=True)
class World:
    """The address of a served chatbot, and what opens it."""

    url: str
    key: str
    token: str  # Alice's, who administers acme

    def headers(self, path: str) -> dict[str, str]:
        if path.startswith("/api/admin"):
            return {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        if path.startswith(("/api/tenant", "/api/me", "/api/password")):
            return {"Authorization": f"Bearer {self.token}"}
        return {"X-Api-Key": self.key}


async def _member_token(chatbot: Chatbot) -> str:
    body = {"email": MEMBER["email"], "role": "admin"}
    _, invited = await chatbot.admin("POST", "/tenants/acme/members", body)
    accepted = {"invitation": invited["invitation"], "password": MEMBER["password"]}
    assert (await chatbot.call("POST", "/api/invitations/accept", body=accepted))[0] == 200
    _, signed_in = await chatbot.call("POST", "/api/sign-in", body={"tenant": "acme", **MEMBER})
    return signed_in["access_token"]


@contextmanager
def world(app_url: str, valkey_url: str) -> Generator[World]:
    """A chatbot served by a thread of its own, since schemathesis waits for its answers."""
    ready: Future[World] = Future()
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with served(settings_for(app_url, valkey_url)) as chatbot:
            token = await _member_token(chatbot)
            ready.set_result(World(url=chatbot.url, key=chatbot.keys["acme"], token=token))
            await stopped.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(60)
        loop.call_soon_threadsafe(stopped.set)
    finally:
        thread.join(30)
        loop.close()


def without_credentials(place: World) -> dict[str, Any]:
    """The served document, but that credentials are no business of schemathesis: every request here has good ones."""
    document = requests.get(f"{place.url}/openapi.json", timeout=20).json()
    for item in document["paths"].values():
        for operation in item.values():
            operation.pop("security", None)
    return document


def refused(ctx: CheckContext, response: Response, case: Case) -> bool | None:
    """What the document forbids is not taken. Schemathesis does not know that 413 is a refusal too."""
    return None if response.status_code == 413 else negative_data_rejection(ctx, response, case)


def fixed(operation: APIOperation) -> dict[str, Any]:
    """Of the paths that name a tenant, globex: one that is there, and whose end harms nobody else here."""
    return {"name": "globex"} if operation.path.startswith("/api/admin/tenants/") else {}


def faults(operation: APIOperation, mode: GenerationMode, place: World, examples: int) -> list[str]:
    """What the operation answered that the document does not say."""
    strategy = operation.as_strategy(generation_mode=mode, path_parameters=fixed(operation) or None)
    checks = [*CHECKS, *([refused] if mode is GenerationMode.NEGATIVE else [])]
    sent = 0

    @given(case=strategy)
    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def one(case: Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(place.url, headers=place.headers(operation.path), checks=checks, timeout=20)

    try:
        one()
    except Unsatisfiable:
        return []  # nothing of it can be wrong: no parameter, no body
    except BaseExceptionGroup as group:
        return [f"{mode} {operation.label}: {each}" for each in group.exceptions]
    except requests.RequestException as error:
        return [f"{mode} {operation.label}: no answer: {error}"]
    assert sent
    return []


@pytest.mark.parametrize("mode", GenerationMode)
def test_the_openapi_document_tells_the_truth(app_url: str, valkey_url: str, mode: GenerationMode) -> None:
    """No fault, no status, type or shape that it does not name, and nothing taken that it forbids."""
    examples = 100 if settings.get_current_profile_name() == "prove" else 20
    with world(app_url, valkey_url) as place:
        document = schemathesis.openapi.from_dict(without_credentials(place))
        operations = sorted(
            (found.ok() for found in document.get_all_operations()),
            key=lambda operation: (operation.path.startswith(LAST), operation.path, operation.method),
        )
        assert len(operations) > 50
        found = [each for operation in operations for each in faults(operation, mode, place, examples)]
    assert not found, "\n\n".join(found)


# What nobody can name beforehand: the body of a request that undoes a change, and what a layer of settings holds.
FREE = {"Undo.body", "Settings.set", "SettingsChanged.set"}


def test_every_answer_names_its_fields(app_url: str, valkey_url: str) -> None:
    """Not 'an object': each field with its type, all of them always there, and none beside them."""
    with world(app_url, valkey_url) as place:
        document = requests.get(f"{place.url}/openapi.json", timeout=20).json()
    shapes = document["components"]["schemas"]
    answers = {
        content["schema"]["$ref"].rpartition("/")[2]
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and (content := answer.get("content", {}).get("application/json"))
    }
    assert len(answers) > 40
    seen: set[str] = set()
    while waiting := answers - seen:
        for name in waiting:
            seen.add(name)
            assert shapes[name]["additionalProperties"] is False, name
            assert set(shapes[name]["required"]) == set(shapes[name]["properties"]), name
            for field, schema in shapes[name]["properties"].items():
                answers |= {
                    ref.rpartition("/")[2]
                    for ref in _refs(schema)
                    if "properties" in shapes[ref.rpartition("/")[2]]
                }
                assert "'additionalProperties': True" not in str(schema) or f"{name}.{field}" in FREE, (
                    name,
                    field,
                )


def _refs(schema: Any) -> list[str]:
    """Every reference within."""
    if isinstance(schema, dict):
        own = [schema["$ref"]] if "$ref" in schema else []
        return own + [ref for each in schema.values() for ref in _refs(each)]
    return [ref for each in schema for ref in _refs(each)] if isinstance(schema, list) else []
