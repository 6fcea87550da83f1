"""`http` blocks in the form of the REST client of VS Code: several requests, split by `###`, each with a name if it wants one."""

from __future__ import annotations

import json
import re

from responder.core.effect import Effect, Statement
from responder.core.remediation import Expectation, Phase, Request

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_LINE = re.compile(
    rf"^(?:(?P<method>{'|'.join(_METHODS)})\s+)?(?P<url>\S+)(?:\s+HTTP/[\d.]+)?\s*$", re.IGNORECASE
)
_EXPECT = re.compile(r"^(?:#|//)\s*expect\s+(?P<field>[\w.-]+)\s*=\s*(?P<value>.+?)\s*$")
_PHASES = {phase.value: phase for phase in Phase}


def requests(text: str, *, line: int) -> list[tuple[Request, Statement]]:
    """The requests of a block that starts at `line`, each with its effect. A part that is none is a statement of unknown effect."""
    found: list[tuple[Request, Statement]] = []
    name, start = "", line
    buffer: list[str] = []
    for number, written in enumerate(text.splitlines(), start=line):
        if written.startswith("###"):
            found += _request(name, buffer, start)
            name, start, buffer = written.lstrip("#").strip(), number, []
        else:
            buffer.append(written)
    return found + _request(name, buffer, start)


def _request(name: str, lines: list[str], line: int) -> list[tuple[Request, Statement]]:
    expects = tuple(_expectation(found) for text in lines if (found := _EXPECT.match(text)))
    head = [text for text in lines if not re.match(r"^\s*(#|//|@)", text)]
    while head and not head[0].strip():
        head.pop(0)
    if not head:
        return []
    found = _LINE.match(head[0].strip())
    if found is None:
        return []
    split = next((n for n, text in enumerate(head) if not text.strip()), len(head))
    headers = dict(_header(text) for text in head[1:split] if ":" in text)
    body = "\n".join(head[split + 1 :]).strip() or None
    method = (found["method"] or "GET").upper()
    phase = _PHASES.get(name.lower(), Phase.PREVIEW if method in {"GET", "HEAD"} else Phase.RUN)
    request = Request(
        phase=phase, method=method, url=found["url"], headers=headers, body=body, expects=expects
    )
    return [(request, _statement(request, line))]


def _statement(request: Request, line: int) -> Statement:
    text = f"{request.method} {request.url}"
    if request.method in {"GET", "HEAD", "OPTIONS"} and request.body is None:
        return Statement(
            text=text,
            line=line,
            effect=Effect.READ,
            bounded=True,
            reason=f"{request.method} reads by HTTP's rules",
        )
    return Statement(
        text=text, line=line, effect=Effect.MUTATE, bounded=True, reason=f"{request.method} may change things"
    )


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.strip(), value.strip()


def _expectation(found: re.Match[str]) -> Expectation:
    try:
        value = json.loads(found["value"])
    except ValueError:
        value = found["value"]
    return Expectation(field=found["field"], value=value)
