"""The effect of a statement, by its language. What cannot be placed is unknown, never a read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from responder.core.effect import Effect, Statement
from responder.core.runbook import Kind
from responder.runbooks.effects.logql import logql
from responder.runbooks.effects.promql import promql
from responder.runbooks.effects.shell import shell
from responder.runbooks.effects.sql import sql

JUDGES: Mapping[Kind, Callable[[str, int], Statement]] = {
    Kind.PROMQL: promql,
    Kind.LOGQL: logql,
    Kind.SQL: sql,
    Kind.SHELL: shell,
}


def judge(kind: Kind, text: str, line: int) -> Statement:
    """The statement with its effect; of a kind that nobody judges, unknown."""
    if kind in JUDGES:
        return JUDGES[kind](text, line)
    return Statement(
        text=text,
        line=line,
        effect=Effect.UNKNOWN,
        bounded=False,
        reason=f"{kind} is not judged by this version",
    )
