"""LogQL reads only. There is no parser of it here, so only what has the shape of a query is one."""

from __future__ import annotations

import re

from responder.core.effect import Effect, Statement

# A selector of streams, perhaps inside of functions: `sum by (app) (rate({app="x"} |= "error" [5m]))`.
_QUERY = re.compile(r"^[\w\s(),]*\{\s*\w+\s*(?:=~|!~|!=|=)\s*[\"`].*\}.*$", re.DOTALL)


def logql(text: str, line: int) -> Statement:
    if _QUERY.match(text):
        reason = "a query reads only; its answer is capped"
        return Statement(text=text, line=line, effect=Effect.READ, bounded=True, reason=reason)
    reason = "does not have the shape of a LogQL query"
    return Statement(text=text, line=line, effect=Effect.UNKNOWN, bounded=False, reason=reason)
