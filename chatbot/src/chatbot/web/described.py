"""The OpenAPI document: how to show who is asking, and what a refusal looks like, said once for every route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from chatbot.web.problems import MEDIA_TYPE


class Problem(BaseModel):
    """A refusal (RFC 9457): what happened, and what to do. `type` is a stable name that a program can compare."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    remedy: str
    request_id: str | None


# What each status of a refusal means, whatever the route.
REFUSALS = {
    400: "Not understood: the detail names what is wrong with the request.",
    401: "No credential, or one that opens nothing.",
    403: "A good credential for something else, a suspended tenant, a quota reached, or a blocked address.",
    404: "There is no such thing for this caller.",
    408: "The body did not arrive in time.",
    409: "The name is taken, or the state of the thing does not allow it.",
    413: "The body is above its limit.",
    421: "Meant for another server: the host is not one of this service.",
    429: "Asked too often, or the budget of the day is spent; Retry-After says when to come back.",
    500: "A fault of this program, or an answer withheld so that nothing of another tenant is given out.",
    502: "The reranker failed and its path has no fallback.",
    503: "Closed, too busy, stopping, or something that is needed does not answer; see Retry-After.",
}
EVERYWHERE = (400, 403, 404, 421, 429, 500, 503)
WITH_CREDENTIALS = (401,)
WITH_BODY = (401, 408, 413)  # a body may hold a token or a password
CHANGING = (409,)
ASKING = (502,)

# A parameter of this name would be void: OpenAPI says it as a security scheme.
_CREDENTIAL = "authorization"
SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A tenant's key."},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A member's or a widget session's token; under /api/admin the operators' token.",
    },
}
# One of these has to be shown.
WITH_BEARER: list[dict[str, list[str]]] = [{"bearer": []}]
WITH_KEY: list[dict[str, list[str]]] = [{"apiKey": []}, *WITH_BEARER]


class Described(FastAPI):
    """An application whose OpenAPI document names its refusals."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for path, method, operation in _operations(document):
                _describe(path, method, operation)
            _components(document["components"])
        return self.openapi_schema or {}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _describe(path: str, method: str, operation: dict[str, Any]) -> None:
    shown = _secure(operation)
    responses = operation["responses"]
    responses.pop("422", None)  # refused with 400, as everything that is not understood
    statuses = [
        *EVERYWHERE,
        *(WITH_CREDENTIALS if shown else ()),
        *(WITH_BODY if "requestBody" in operation else ()),
        *(CHANGING if method != "get" else ()),
        *(ASKING if (method, path) == ("post", "/api/chat") else ()),
    ]
    for status in sorted(set(statuses)):
        content = responses.get(str(status), {}).get("content", {})
        if content:  # health has a document of its own for 503; a refusal may stand there too
            content[MEDIA_TYPE] = {"schema": _PROBLEM}
        else:
            responses[str(status)] = {"$ref": f"#/components/responses/Refused{status}"}


def _secure(operation: dict[str, Any]) -> bool:
    """Whether a credential has to be shown. One that a tenant's key opens, a bearer token opens too."""
    if "security" in operation:
        operation["security"] = WITH_KEY
        return True
    parameters: list[dict[str, Any]] = operation.get("parameters", [])
    others = [each for each in parameters if each["name"].lower() != _CREDENTIAL]
    if len(others) == len(parameters):
        return False
    operation.update(parameters=others, security=WITH_BEARER)
    return True


_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def _components(components: dict[str, Any]) -> None:
    for void in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(void, None)
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["securitySchemes"] = SCHEMES
    components["responses"] = {
        f"Refused{status}": {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status, text in REFUSALS.items()
    }
