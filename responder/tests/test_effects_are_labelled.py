"""Some six hundred statements, each labelled by hand in effects.toml. The grave error is to take a change for a read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from responder.core.effect import Effect, Statement
from responder.core.runbook import Kind
from responder.runbooks.effects import judge
from responder.runbooks.http_requests import requests

TABLE = tomllib.loads(Path(__file__).with_name("effects.toml").read_text(encoding="utf-8"))


def _rows() -> Iterator[tuple[str, str, str]]:
    for kind, labels in TABLE.items():
        for label, texts in labels.items():
            yield from ((kind, label, text) for text in texts)


def _judged(kind: str, text: str) -> Statement:
    if kind == "http":
        ((_, statement),) = requests(text, line=1)
        return statement
    return judge(Kind(kind), text, 1)


@pytest.mark.parametrize(("kind", "label", "text"), list(_rows()))
def test_what_each_statement_does(kind: str, label: str, text: str) -> None:
    """By hand and by the program the same: read, change, or not to be placed; bounded, or with a bounded form."""
    found = _judged(kind, text)
    if label == "M":
        assert found.effect is not Effect.READ, "a change taken for a read"
        assert found.effect is Effect.MUTATE, found.reason
    elif label == "?":
        assert found.effect is Effect.UNKNOWN, found.reason
    else:
        assert found.effect is Effect.READ, found.reason
        assert (found.bounded, found.rewrite is not None) == {
            "R": (True, False),
            "U": (False, True),
            "E": (False, False),
        }[label]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, label, text in _rows() if label == "U"])
def test_each_bounded_form_is_itself_a_bounded_read(kind: str, text: str) -> None:
    """What is offered in place of a command that never ends must end."""
    again = judge(Kind(kind), _judged(kind, text).rewrite or "", 1)
    assert (again.effect, again.bounded) == (Effect.READ, True), again.text


def test_the_table_is_large_enough_to_mean_something() -> None:
    """Each statement stands in it once."""
    rows = list(_rows())
    assert len(rows) > 500
    assert len({(kind, text) for kind, _, text in rows}) == len(rows)
