"""The list of guards is whole, and the document shows it."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

import guards

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "tenant-isolation.md"


@pytest.mark.parametrize("guard", guards.GUARDS, ids=lambda guard: guard.slug)
def test_the_test_that_notices_is_played_without_it(guard: guards.Guard) -> None:
    """Each guard names a test that there is, in a module that plays it without the guard."""
    module = importlib.import_module(guard.noticed_by.partition("::")[0])
    assert hasattr(module, guard.noticed_by.partition("::")[2])
    assert hasattr(module, f"test_without_{guard.slug}")


@pytest.mark.parametrize(
    "guard", [each for each in guards.GUARDS if each.module], ids=lambda guard: guard.slug
)
def test_the_guard_is_in_the_code(guard: guards.Guard) -> None:
    """A guard that was rewritten is followed here, else it would be taken away from nowhere."""
    assert guard.old in inspect.getsource(importlib.import_module(guard.module))


def test_the_document_shows_the_list() -> None:
    """The page is for readers; what it says of the guards is what the tests take away."""
    _, _, rest = PAGE.read_text().partition("<!-- guards -->\n")
    shown, _, _ = rest.partition("<!-- /guards -->")
    assert shown.strip() == guards.table(), f"put this between the marks:\n{guards.table()}"


def test_no_two_guards_have_one_name() -> None:
    """Two of one name would be one test."""
    slugs = [guard.slug for guard in guards.GUARDS]
    assert len(set(slugs)) == len(slugs)
