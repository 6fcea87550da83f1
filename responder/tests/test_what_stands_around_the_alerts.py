"""The process, the contacts and the words for the status page, in the dress of several teams."""

from __future__ import annotations

import textwrap
from datetime import timedelta

import pytest

from responder.core.runbook import Runbook
from responder.runbooks.reader import parse_runbook


def _read(text: str) -> Runbook:
    return parse_runbook(textwrap.dedent(text).lstrip("\n"), path="around.md")


HEADINGS = """
    # Runbook

    ## Incident Response Process

    ### 1. Acknowledge (< 5 min)
    - Answer the page

    ### 2. Find the cause (15 min)
    - Read the logs
    - Ask Dan

    ### 3. Post-mortem (within 48 hours for P0)
    - Write it
    """
NUMBERED = """
    # Runbook

    ## Response process

    1. **Acknowledge** within 5 minutes:
       - Answer the page
    2. Find the cause: 15 min
       - Read the logs
       - Ask Dan
    3. Post-mortem (48 hours, for P0)
       - Write it
    """
TABLE = """
    # Runbook

    ## Incident workflow

    | Stage | Within | What |
    |-------|--------|------|
    | Acknowledge | 5 min | Answer the page |
    | Find the cause | 15 min | Read the logs |
    | Post-mortem | 48 hours | Write it |
    """


@pytest.mark.parametrize(
    ("text", "lines", "severities"),
    [
        (HEADINGS, [5, 8, 12], [None, None, "P0"]),
        (NUMBERED, [5, 7, 10], [None, None, "P0"]),
        (TABLE, [7, 8, 9], [None, None, None]),
    ],
)
def test_the_stages_of_a_process(text: str, lines: list[int], severities: list[str | None]) -> None:
    """Headings, numbered items or rows of a table: each stage with its time, its line and what it is for."""
    stages = _read(text).process
    assert [stage.name for stage in stages] == ["Acknowledge", "Find the cause", "Post-mortem"]
    assert [stage.number for stage in stages] == [1, 2, 3]
    assert [stage.limit for stage in stages] == [
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=48),
    ]
    assert [stage.applies_to for stage in stages] == severities
    assert [stage.line for stage in stages] == lines
    assert stages[0].items == ("Answer the page",)


BULLETS = """
    # Runbook

    ## Contacts

    - **On-call engineer**: PagerDuty rotation
    - Security: security@bitb.ai
    - Engineering lead: #eng-lead on Slack
    - Status: https://status.bitb.ai
    - DBA \u2014 +49 30 1234567
    """
ROWS = """
    # Runbook

    ## Who to contact

    | Role | How |
    |------|-----|
    | On-call engineer | PagerDuty rotation |
    | Security | security@bitb.ai |
    | Engineering lead | Slack `#eng-lead` |
    | Status | <https://status.bitb.ai> |
    | DBA | +49 30 1234567 |
    """
LINES = """
    # Runbook

    ## Emergency contacts

    **On-call engineer:** PagerDuty rotation
    **Security:** security@bitb.ai
    **Engineering lead:** #eng-lead
    **Status:** https://status.bitb.ai
    **DBA:** +49 30 1234567
    """


@pytest.mark.parametrize(("text", "first"), [(BULLETS, 5), (ROWS, 7), (LINES, 5)])
def test_whom_to_reach_and_where(text: str, first: int) -> None:
    """Bullets, rows or lines: the role, the address without what stands around it, its kind, its line."""
    assert [(c.role, c.address, c.kind, c.line) for c in _read(text).contacts] == [
        ("On-call engineer", "PagerDuty rotation", "pagerduty", first),
        ("Security", "security@bitb.ai", "email", first + 1),
        ("Engineering lead", "#eng-lead", "slack", first + 2),
        ("Status", "https://status.bitb.ai", "url", first + 3),
        ("DBA", "+49 30 1234567", "phone", first + 4),
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            """
            # Runbook

            ## Status page templates

            ```
            [Investigating] We look into [issue description].
            [Resolved] It works again since [time].
            ```
            """,
            [6, 7],
        ),
        (
            """
            # Runbook

            ## Communication

            - **Investigating:** We look into [issue description].
            - **Resolved:** It works again since [time].
            """,
            [5, 6],
        ),
        (
            """
            # Runbook

            ## Communication templates

            ### Investigating

            > We look into [issue description].

            ### Resolved

            > It works again since [time].
            """,
            [7, 11],
        ),
    ],
)
def test_words_for_the_status_page(text: str, lines: list[int]) -> None:
    """In a fence, in bullets or quoted under a heading: a state, its words with their slots, its line."""
    assert [(t.state, t.text, t.line) for t in _read(text).templates] == [
        ("Investigating", "We look into [issue description].", lines[0]),
        ("Resolved", "It works again since [time].", lines[1]),
    ]


def test_what_is_not_said_is_not_made_up() -> None:
    """A runbook without them has none; a stage without a time has no limit, a role without an address is no contact."""
    runbook = _read(
        """
        # Runbook

        ## Incident process

        ### Think

        ## Contacts

        - Alice
        """
    )
    assert [(stage.name, stage.limit) for stage in runbook.process] == [("Think", None)]
    assert runbook.contacts == ()
    assert runbook.templates == ()
