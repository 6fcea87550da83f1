"""Whatever a runbook looks like: each command in it is told once, with its place, or its lines are named as not understood."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from responder.core.runbook import Action, Runbook
from responder.runbooks.reader import parse_runbook

HEADINGS = (
    "Meaning", "Impact", "Symptoms", "Diagnosis", "Investigation steps", "Mitigation", "Remediation", "Prevention", "Escalation",
    "Common causes & solutions", "Verification", "Zebra", "Alert details", "Next steps", "Related alerts", "Triage (5 min)",
)  # fmt: skip
LABELS = (
    "**Fix:**",
    "**Symptoms:** words",
    "**Immediate (< 5 min):**",
    "**Zebra**",
    "**Check this**",
    "**Severity:** P1",
    "**Diagnosis:** look",
)
BLOCKS = (
    "words",
    "- a bullet",
    "1. a step",
    "> a quote",
    "| a | b |\n|---|---|\n| c | d |",
    "---",
    "- outer\n  - inner",
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    rows = ["# RandomAlert", ""]
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["heading", "label", "block", "fence", "item fence", "quote fence"]))
        if kind == "heading":
            rows += [f"{'#' * draw(st.integers(2, 4))} {draw(st.sampled_from(HEADINGS))}", ""]
        elif kind == "label":
            rows += [draw(st.sampled_from(LABELS)), ""]
        elif kind == "block":
            rows += [draw(st.sampled_from(BLOCKS)), ""]
        else:
            fence = [draw(st.sampled_from(["```sh", "```", "```sql", "~~~promql"])), f"marker_{number}"]
            fence.append(fence[0][:3])
            if kind == "item fence":
                fence = ["1. step", *(f"   {row}" for row in fence)]
            if kind == "quote fence":
                fence = [f"> {row}" for row in fence]
            rows += [*fence, ""]
    return "\n".join(rows)


def _told(runbook: Runbook) -> list[Action]:
    return [
        action
        for entry in runbook.alerts
        for actions in (
            *(step.actions for step in entry.steps),
            *(group.actions for group in entry.remediation),
            entry.prevention,
            tuple(aside.action for aside in entry.asides),
        )
        for action in actions
    ]


# A heading that only what stands around it makes a remedy, or a diagnosis, over a part that says so itself.
PROVED = "# RandomAlert\n\n**Fix:**\n\n## Verification\n\n**Fix:**\n\n```sh\nmarker_1\n```\n"
LOOKED = "# RandomAlert\n\n## Diagnosis\n\nwords\n\n## Check the pods\n\n{}\n\n```sh\nmarker_1\n```\n"


@settings(max_examples=400, deadline=None)
@given(documents())
@example(PROVED)
@example(LOOKED.format("**Diagnosis:** look"))
@example(LOOKED.format("### Zebra\n\n#### Diagnosis"))
def test_each_command_is_told_once_or_named_as_not_understood(text: str) -> None:
    """A fence is an action of a step, of a remedy or aside of them, on its own line; else its lines are among the unknown."""
    runbook = parse_runbook(text, path="random.md")
    rows = text.split("\n")
    told = Counter(re.findall(r"marker_\d+", " ".join(action.text for action in _told(runbook))))
    unknown = " ".join(part.text for part in runbook.unknown)
    for marker in re.findall(r"marker_\d+", text):
        assert told[marker] == 1 or marker in unknown, (marker, told)
    for action in _told(runbook):
        assert action.text.strip() in rows[action.line - 1]


@settings(max_examples=200, deadline=None)
@given(documents())
def test_the_share_understood_is_what_is_not_unknown(text: str) -> None:
    """Every line with words is either understood or lies in one of the unknown parts, whose text is the file's own."""
    runbook = parse_runbook(text, path="random.md")
    rows = text.split("\n")
    words = {number for number, row in enumerate(rows, start=1) if row.strip()}
    unknown = {number for part in runbook.unknown for number in range(part.line, part.end_line + 1)} & words
    assert runbook.understood == round(1 - len(unknown) / len(words), 4)
    for part in runbook.unknown:
        assert part.text == "\n".join(rows[part.line - 1 : part.end_line])
