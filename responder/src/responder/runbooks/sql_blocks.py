"""`sql` blocks as remedies: comments `-- Preview`, `-- Run`, `-- Verify`, `-- Undo` say which part a statement plays."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from responder.core.effect import Effect, Statement
from responder.core.remediation import SQL, Expectation, Phase, Request

_MARK = re.compile(r"^\s*--\s*(preview|run|verify|undo)\b", re.IGNORECASE)
_EXPECT = re.compile(r"^\s*--\s*expect\s+(?P<field>\w+)\s*=\s*(?P<value>.+?)\s*$")


def requests(statements: Sequence[Statement]) -> tuple[Request, ...]:
    """The parts of a block, in order; none where no statement is marked, or one that should only look may do more."""
    found: list[Request] = []
    phase: Phase | None = None
    for statement in statements:
        rows = statement.text.splitlines()
        marks = [mark[1].lower() for row in rows if (mark := _MARK.match(row))]
        phase = Phase(marks[-1]) if marks else phase
        if phase is None:
            return ()
        looks = phase in {Phase.PREVIEW, Phase.VERIFY}
        if looks and statement.effect is not Effect.READ:
            return ()
        expects = tuple(
            Expectation(field=e["field"], value=_value(e["value"]))
            for row in rows
            if (e := _EXPECT.match(row))
        )
        body = "\n".join(row for row in rows if not row.lstrip().startswith("--"))
        found.append(Request(phase=phase, method=SQL, url="", headers={}, body=body, expects=expects))
    return tuple(found)


def _value(written: str) -> object:
    try:
        return json.loads(written)
    except ValueError:
        return written
